"""The binding of a head to the detector whose features it was trained on."""

from typing import Any

from mfd.detectors import DetectorSpec
from mfd.errors import DetectorError

# What the head's weights depend on, in the order in which a difference is reported. Names, image
# sizes and numbers of detections may differ.
_BINDING = (
    "weights_digest",
    "encoder_layer",
    "code_version",
    "dim",
    "strides",
    "c1_channels",
    "c1_stride",
    "category_ids",
    "scores",
)


def check_binding(trained: DetectorSpec, found: DetectorSpec) -> None:
    """Nothing, if a head trained on one detector may be used on the other's features.

    Raises:
        DetectorError: names the first thing that differs, with both values.
    """
    for field in _BINDING:
        expected, value = getattr(trained, field), getattr(found, field)
        if expected != value:
            raise DetectorError(
                f"the head was trained for {trained.name} ({_shown(field, expected)}), "
                f"found {found.name} ({_shown(field, value)}); use the same detector, or train a "
                "head for this one"
            )


def _shown(field: str, value: Any) -> str:
    if field == "weights_digest":
        return f"weights {value[:8]}"
    text = str(value)
    return f"{field} {text if len(text) <= 60 else text[:57] + '...'}"
