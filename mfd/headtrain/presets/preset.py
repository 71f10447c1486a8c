"""What a preset is, and the detectors that the paper measured its heads with."""

from dataclasses import dataclass, field, replace

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig

HDETR_R50 = DetectorSpec(
    name="hdetr-r50",
    dim=256,
    strides=(8, 16, 32, 64),
    num_queries=300,
    category_ids=tuple(range(1, 81)),
    c1_channels=256,
    weights_digest="",
)
"""The widths of the detector of tables 1 to 14; the digest of no particular weights."""

HDETR_SWIN_L = replace(HDETR_R50, name="hdetr-swin-l", c1_channels=192)
"""The widths of the second detector of table 16."""

DINO_FOCALNET_L = replace(
    HDETR_R50,
    name="dino-focalnet-l",
    strides=(4, 8, 16, 32, 64),
    num_queries=900,
    c1_channels=192,
)
"""The widths of the detector of table 15, and of the third of table 16."""


@dataclass(frozen=True)
class Preset:
    """A head and the recipe to train it by: one row of a table of the paper, or ours.

    Attributes:
        name: how `--preset` names it.
        table: number of the paper's table; None for what is ours.
        config: the head.
        paper_ap: mask AP on COCO val2017, percent; None for what is ours.
        paper_params_m: trainable parameters, 1e6; None where the table does not say.
        paper_macs_g: multiply-accumulates, 1e9, which the paper calls FLOPs; None likewise.
        spec: widths of the detector it was measured with.
        num_boxes: per image, when its multiply-accumulates were counted.
        encoder_layer: the encoder layer whose maps it must read; None: whichever the store holds.
        recipe: how it is trained.
    """

    name: str
    table: int | None
    config: HeadConfig
    paper_ap: float | None
    paper_params_m: float | None = None
    paper_macs_g: float | None = None
    spec: DetectorSpec = HDETR_R50
    num_boxes: int = 100
    encoder_layer: int | None = None
    recipe: TrainConfig = field(default_factory=TrainConfig)
