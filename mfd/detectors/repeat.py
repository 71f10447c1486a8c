"""Whether a detector gives the same values for an image each time, as a store presumes."""

from typing import Any

from torch import Tensor

from mfd.config import Precision
from mfd.detectors.detection import detect
from mfd.detectors.image_features import ImageFeatures
from mfd.errors import DetectorError
from mfd.images import LoadedImage

_TOLERANCE = 1e-3  # of the largest value; sums in another order differ by 1e-6


def check_repeatable(detector: Any, image: LoadedImage, precision: Precision = "float32") -> None:
    """Nothing, if the detector's output for the image is the same twice.

    Raises:
        DetectorError: it is not; names the output that differs and the likely cause.
    """
    first, second = (detect(detector, [image], [0], precision=precision)[0] for _ in range(2))
    before, after = _tensors(first), _tensors(second)
    for name, one in before.items():
        difference = max(map(_difference, one, after[name]), default=0.0)
        if difference > _TOLERANCE:
            raise DetectorError(
                f"detector {detector.spec.name!r} gave other {name} when it saw the same image "
                f"again, by {difference:.1%} of the largest value, expected the same; "
                f"{_likely_cause(detector)}"
            )


def _tensors(features: ImageFeatures) -> dict[str, list[Tensor]]:
    """The detector's outputs by their names; an empty list for what it does not give."""
    return {
        "boxes": [features.boxes],
        "logits": [features.logits],
        "queries": [features.queries],
        "memory": features.memory,
        "c1": [] if features.c1 is None else [features.c1],
    }


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest, as a share of the largest value; 0 where values are not finite anyway."""
    largest, apart = one.abs().max().item(), (one - other).abs().max().item()
    return apart / largest if 0 < largest < float("inf") else 0.0


def _likely_cause(detector: Any) -> str:
    training = [name for name, part in detector.named_modules() if part.training]
    if training:
        part = training[0] or "it"
        return f"its forward pass puts {part} into training mode; remove that train()"
    return (
        "look in its forward pass for dropout that eval() does not turn off (as F.dropout without "
        "training=self.training), random crops, or noise"
    )
