"""The settings of an extraction."""

from mfd.config import PrecisionChoice
from mfd.settings import setting, settings


@settings
class ExtractConfig:
    """How an extraction runs; only `view` and `precision` change the numbers in the store.

    The batch size changes their last digits: detectors add up in another order.
    """

    view: str = setting(
        "How every image is shown to the detector: base, flip (left and right exchanged), ms:SEED "
        "(Deformable DETR's augmentation), lsj:SEED (large-scale jittering).",
        default="base",
    )
    batch_size: int = setting("Images per forward pass, at most the 16 of a unit.", default=4, ge=1)
    workers: int = setting("Threads that decode and resize images.", default=4, ge=1)
    precision: PrecisionChoice = setting(
        "Element type of the detector's matrix products; auto is bfloat16 on GPUs that have it, "
        "else float32.",
        default="auto",
    )
    strict: bool = setting("Stop at the first image that cannot be used.", default=False)
