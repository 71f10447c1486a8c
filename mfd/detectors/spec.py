"""What is known of a detector without running it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mfd.config import Exif
from mfd.errors import DetectorError
from mfd.images import Preprocessing as Preprocessing  # authors of detectors look here
from mfd.settings import from_json


@dataclass(frozen=True)
class DetectorSpec:
    """The static description of a detector.

    Args:
        name: how `--detector` names it.
        dim: D, width of queries and encoder maps.
        strides: of the encoder maps, finest first; L = len(strides).
        num_queries: Q per image.
        category_ids: COCO category id of every logit column; K = len(category_ids).
        c1_channels: width of the stage-1 map; 0 if the detector has none, such as a plain ViT.
        c1_stride: of that map, normally 4; without one, what heads up-sample encoder maps to.
        weights_digest: sha256 of the weights, hex; `load_detector` fills it in.
        preprocessing: what its images go through.
        scores: "sigmoid" (one score per column), or "softmax" over K columns and one more last
            column, "no object".
        encoder_layer: which encoder layer the maps come from, counted from 1; 0 if the detector
            offers no choice.
        code_version: raised whenever the code computes other numbers from the same weights.
        max_detections: detections kept per image by the detector's own evaluation.
        category_names: name of every logit column, "" where it has none; empty: none is known.
    """

    name: str
    dim: int
    strides: tuple[int, ...]
    num_queries: int
    category_ids: tuple[int, ...]
    c1_channels: int
    weights_digest: str = ""
    preprocessing: Preprocessing = Preprocessing()
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    encoder_layer: int = 0
    c1_stride: int = 4
    code_version: int = 1
    max_detections: int = 100
    category_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("strides", "category_ids", "category_names"):  # a list equals no tuple
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.strides or list(self.strides) != sorted(self.strides):
            raise DetectorError(f"strides must be given, finest first; found {self.strides}")
        if strange := [i for i in self.category_ids if not isinstance(i, int)]:
            raise DetectorError(f"category_ids must be COCO's numbers; found {strange[0]!r}")
        if self.c1_channels < 0 or self.c1_stride < 1:
            raise DetectorError(
                f"c1_channels must be 0 or more and c1_stride 1 or more; found {self.c1_channels}, "
                f"{self.c1_stride}"
            )
        if len(self.category_names) not in (0, len(self.category_ids)):
            raise DetectorError(
                f"category_names has {len(self.category_names)} names, expected none or one for "
                f"each of {len(self.category_ids)} category_ids"
            )
        if nameless := [name for name in self.category_names if not isinstance(name, str)]:
            raise DetectorError(f"category_names must be texts; found {nameless[0]!r}")
        if self.scores not in ("sigmoid", "softmax"):
            raise DetectorError(f"scores must be 'sigmoid' or 'softmax', found {self.scores!r}")

    @property
    def has_c1(self) -> bool:
        """Whether there is a stage-1 map."""
        return self.c1_channels > 0

    @property
    def num_logits(self) -> int:
        """Width of the stored logits: K, or K + 1 with a "no object" column."""
        return len(self.category_ids) + (self.scores == "softmax")

    @property
    def exif(self) -> Exif:
        """Whether its images are turned as their EXIF orientation says."""
        return "apply" if self.preprocessing.upright else "ignore"

    def with_exif(self, exif: Exif) -> "DetectorSpec":
        """The same spec with images turned as their EXIF orientation says, or taken as stored."""
        upright = exif == "apply"
        return replace(self, preprocessing=replace(self.preprocessing, upright=upright))

    @property
    def names(self) -> dict[int, str]:
        """Name of each category id, as far as the detector has names."""
        named = zip(self.category_ids, self.category_names, strict=False)
        return {category_id: name for category_id, name in named if name}

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values, for the store and for run folders."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DetectorSpec":
        """The spec that `to_json` wrote.

        Raises:
            ConfigError: a value of another type.
            TypeError, LookupError: other fields.
        """
        preprocessing = Preprocessing(**values["preprocessing"])
        return from_json(cls, cls(**{**values, "preprocessing": preprocessing}).to_json())
