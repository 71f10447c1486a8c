"""What decides the numbers a mask head computes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mfd.errors import ConfigError
from mfd.settings import replace_from_texts, setting, settings

if TYPE_CHECKING:  # it would import torch, which takes seconds
    from mfd.detectors import DetectorSpec

ImageEncoder = Literal["deformable", "swin", "convnext"]
BoxEncoder = Literal["deformable", "swin", "convnext"]

_ABSENT = {
    "image_encoder": {"image_layers": "0"},
    "box_encoder": {
        "box_layers": "0",
        "query_ffn": "false",
        "query_o2o": "false",
        "query_b2o": "false",
    },
}
"""What `none` means for an encoder."""


@settings
class HeadConfig:
    """The choices the paper measures; the defaults are its best head (table 6, last row).

    Widths, strides, number of levels and categories are not settings: they come from the
    `DetectorSpec` of the features.
    """

    image_encoder: ImageEncoder = setting(
        "Block that refines the encoder maps (section 3.2).", default="deformable"
    )
    image_layers: int = setting("Layers of it; 0 leaves the maps as they are.", default=2, ge=0)
    box_encoder: BoxEncoder = setting(
        "Block that refines every box's region features (section 3.3).", default="deformable"
    )
    box_layers: int = setting(
        "Layers of it; 0 leaves the region features as they are.", default=2, ge=0
    )
    box_dim: int | None = setting(
        "d, width of region features and queries behind the channel mapper; none: the detector's "
        "own width, and no mapper.",
        default=128,
        ge=1,
    )
    query_ffn: bool = setting(
        "Feed-forward network on the queries after each box layer (section 3.4).", default=True
    )
    query_o2o: bool = setting(
        "Attention between the queries of an image after each box layer, eq. 10.", default=False
    )
    query_b2o: bool = setting(
        "Attention of each query to its own region after each box layer, eq. 11.", default=True
    )
    roi_align: bool = setting(
        "Cut regions out of the feature map; false: masks of the whole image (table 1).",
        default=True,
    )
    roi_size: int = setting("s, rows and columns of a region.", default=32, ge=1)
    frame_margin: float = setting(
        "Share by which a mask's frame is wider and higher than its box, so that masks can leave "
        "boxes that are too small. [ours]",
        default=0.0,
        ge=0,
        le=1,
    )
    sampling_ratio: int = setting(
        "RoIAlign's samples per cell and axis; 0: one per pixel, so large boxes get more. [ours, "
        "Mask R-CNN's]",
        default=2,
        ge=0,
    )
    paste: Literal["probabilities", "logits"] = setting(
        "What is resized to the pixels of the box and cut at one half to give a mask, eq. 4.",
        default="probabilities",
    )
    use_c1: bool = setting(
        "Add the stride-4 backbone map to the finest encoder map, eq. 1.", default=True
    )
    neck: bool = setting("1x1 convolution and GroupNorm on the backbone map, eq. 14.", default=True)
    mask_head: Literal["dot_product", "segmenter"] = setting(
        "How a query and its region features become a mask.", default="dot_product"
    )
    mask_scoring: bool = setting(
        "Predict each mask's IoU, eq. 12; false: score by its mean probability, eq. 2.",
        default=True,
    )
    class_agnostic: bool = setting(
        "Learn from objects of any class, also of those that the detector does not know: queries "
        "are matched by their boxes alone, one IoU is estimated for all classes, AP ignores them.",
        default=False,
    )
    sampled_points: bool = setting(
        "Train on a quarter of the mask's points, the uncertain ones preferred.", default=True
    )
    num_heads: int = setting("Heads of every attention.", default=8, ge=1)
    num_points: int = setting(
        "Samples of a deformable attention per head and level.", default=4, ge=1
    )

    def __post_init__(self) -> None:
        for name, needed, fault in self._conflicts():
            if fault:
                raise ConfigError(f"{name} needs {needed}; set one or the other")

    def _conflicts(self) -> list[tuple[str, str, bool]]:
        query_encoder = self.query_ffn or self.query_o2o or self.query_b2o
        learned = self.box_layers or self.mask_scoring or self.mask_head == "segmenter"
        return [
            ("neck=true", "use_c1=true", self.neck and not self.use_c1),
            (
                "a query encoder (query_ffn, query_o2o, query_b2o)",
                "box_layers of 1 or more, after each of which it runs",
                query_encoder and self.box_layers == 0,
            ),
            (
                "roi_align=false",
                "box_layers=0, mask_scoring=false and mask_head=dot_product",
                bool(not self.roi_align and learned),
            ),
            (
                "mask_scoring=true",
                f"a roi_size that 8 divides (found {self.roi_size})",
                self.mask_scoring and self.roi_size % 8 != 0,
            ),
            (
                "box_encoder=swin",
                f"a roi_size that 8 divides (found {self.roi_size})",
                bool(self.box_layers and self.box_encoder == "swin" and self.roi_size % 8),
            ),
        ]

    def region_dim(self, spec: "DetectorSpec") -> int:
        """d for this detector: width of region features and of the queries they meet."""
        return spec.dim if self.box_dim is None else self.box_dim

    def check(self, spec: "DetectorSpec") -> None:
        """Refuse a detector whose widths this head cannot take.

        Raises:
            ConfigError: naming the width and the field to change.
        """
        if self.use_c1 and not spec.has_c1:
            raise ConfigError(
                f"{spec.name} has no stage-1 map C1, which this head adds; set use_c1=false and "
                "neck=false"
            )
        if self.use_c1 and not self.neck and spec.c1_channels != spec.dim:
            raise ConfigError(
                f"without a neck C1 is added as it is, so it must have {spec.dim} channels, but "
                f"{spec.name} has {spec.c1_channels}; set neck=true or use_c1=false"
            )
        for name, width in (("detector width", spec.dim), ("box_dim", self.region_dim(spec))):
            if width % self.num_heads:
                raise ConfigError(
                    f"num_heads={self.num_heads} does not divide the {name} {width}; change one"
                )
        if spec.dim % 4:
            raise ConfigError(
                f"sine position encodings need a width that 4 divides, {spec.name} has {spec.dim}"
            )

    def changed(self, texts: Mapping[str, str]) -> "HeadConfig":
        """The head with fields set from text, as `--set` gives them.

        `image_encoder=none` and `box_encoder=none` take out the encoder, and with the box encoder
        the query encoder that runs after each of its layers.

        Raises:
            ConfigError: unknown fields and impossible values.
        """
        values = dict(texts)
        for name, absent in _ABSENT.items():
            if values.get(name, "").lower() == "none":
                del values[name]
                values = {**absent, **values}
        return replace_from_texts(self, values)
