"""Everything that decides what a mask head computes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError
from mfd.settings import check_types, from_json

Block = Literal["deformable", "swin", "convnext"]


@dataclass(frozen=True)
class HeadConfig:
    """The choices the paper measures; the defaults are its best head (table 6, last row).

    Widths, strides, number of levels and categories are no choices: they come from the
    `DetectorSpec` of the features.

    Args:
        image_encoder: block that refines the encoder maps (section 3.2).
        image_layers: how many; 0 leaves the maps as they are.
        box_encoder: block that refines every box's region features (section 3.3).
        box_layers: how many; 0 leaves the region features as they are.
        box_dim: d, width of region features and queries behind the channel mapper; None: the
            detector's own width, and no mapper.
        query_ffn: feed-forward network on the queries after each box layer (section 3.4).
        query_o2o: attention between the queries of an image after each box layer, eq. 10.
        query_b2o: attention of each query to its own region after each box layer, eq. 11.
        roi_align: cut regions out of the feature map; False: masks of the whole image (table 1).
        roi_size: s, rows and columns of a region.
        use_c1: add the stride-4 backbone map to the finest encoder map, eq. 1.
        neck: 1x1 convolution and GroupNorm on the backbone map, eq. 14.
        mask_head: how a query and its region features become a mask.
        mask_scoring: predict each mask's IoU, eq. 12; False: score by its mean probability, eq. 2.
        sampled_points: train on a quarter of the mask's points, the uncertain ones preferred.
        num_heads: of every attention.
        num_points: a deformable attention samples per head and level.
    """

    image_encoder: Block = "deformable"
    image_layers: int = 2
    box_encoder: Block = "deformable"
    box_layers: int = 2
    box_dim: int | None = 128
    query_ffn: bool = True
    query_o2o: bool = False
    query_b2o: bool = True
    roi_align: bool = True
    roi_size: int = 32
    use_c1: bool = True
    neck: bool = True
    mask_head: Literal["dot_product", "segmenter"] = "dot_product"
    mask_scoring: bool = True
    sampled_points: bool = True
    num_heads: int = 8
    num_points: int = 4

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("image_layers", "box_layers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, found {getattr(self, name)}")
        for name in ("roi_size", "num_heads", "num_points", "box_dim"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more, found {value}")
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

    def region_dim(self, spec: DetectorSpec) -> int:
        """d for this detector: width of region features and of the queries they meet."""
        return spec.dim if self.box_dim is None else self.box_dim

    def check(self, spec: DetectorSpec) -> None:
        """Refuse a detector whose widths this head cannot take.

        Raises:
            ConfigError: naming the width and the field to change.
        """
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

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "HeadConfig":
        """The config that `to_json` wrote.

        Raises:
            ConfigError: for fields this version does not know, and for impossible values.
        """
        return from_json(cls, values)
