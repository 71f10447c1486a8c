"""A Transformers image processor's settings as `Preprocessing`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mfd.errors import DetectorError
from mfd.images import Preprocessing

_BILINEAR = 2  # PIL's number for the filter that mfd resizes with


def read_preprocessing(path: Path, *, fixed_size: bool, normalised: bool = True) -> Preprocessing:
    """What a `preprocessor_config.json`, or a `processor_config.json`, says happens to an image.

    Settings that the file leaves out are those of the family's image processor.

    Args:
        fixed_size: the family cannot mask padding, so its images must all have one size: 640 x
            640 unless the file says otherwise. Else 800 and 1333.
        normalised: by ImageNet's mean and standard deviation, unless the file says otherwise.

    Raises:
        DetectorError: the file is damaged or asks for what `Preprocessing` cannot express.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DetectorError(f"{path} is not a JSON file: {error}; download it again") from error
    if isinstance(settings, dict):  # a processor's, of images and text, or an image processor's
        settings = settings.get("image_processor", settings)
    if not isinstance(settings, dict):
        raise DetectorError(f"{path} has no image processor settings; download it again")
    if not settings.get("do_resize", True):
        raise DetectorError(f"{path} has do_resize=false, expected images that are resized")
    if settings.get("resample", _BILINEAR) != _BILINEAR:
        raise DetectorError(
            f"{path} has resample={settings['resample']!r}, expected {_BILINEAR} (bilinear); "
            "provide a custom detector for other filters"
        )
    try:
        sizes = _sizes(path, settings, fixed_size)
        mean, std = _normalisation(path, settings, default=normalised)
    except (TypeError, ArithmeticError) as error:
        raise DetectorError(
            f"{path} has a value of the wrong kind: {error}; download it again"
        ) from error
    return Preprocessing(**sizes, mean=mean, std=std)


def _sizes(path: Path, settings: Mapping[str, Any], fixed_size: bool) -> dict[str, Any]:
    """The fields of `Preprocessing` that say how large the input is."""
    size = settings.get("size", {"height": 640, "width": 640} if fixed_size else 800)
    if isinstance(size, int):  # as Transformers wrote it before 2023
        size = {"shortest_edge": size}
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        return {"size_hw": (int(size["height"]), int(size["width"]))}
    if fixed_size:
        raise DetectorError(
            f"{path} has size {size!r}, expected height and width: this family cannot tell "
            "padding from image, so all images must have one size"
        )
    if isinstance(size, dict) and "shortest_edge" in size:
        longest = size.get("longest_edge", settings.get("max_size", 1333))
        return {"shorter_side": int(size["shortest_edge"]), "longer_side": int(longest)}
    raise DetectorError(
        f"{path} has size {size!r}, expected shortest_edge and longest_edge, or height and width"
    )


def _normalisation(
    path: Path, settings: Mapping[str, Any], default: bool
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation for values in [0, 1].

    The processor computes (scale * x - mean) / std for x in [0, 1], where scale is 255 times its
    rescale_factor, or 255 if it does not rescale.
    """
    rescaled = settings.get("do_rescale", True)
    scale = 255 * (settings.get("rescale_factor", 1 / 255) if rescaled else 1)
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if settings.get("do_normalize", default):
        mean = settings.get("image_mean", Preprocessing.mean)
        std = settings.get("image_std", Preprocessing.std)
    if len(mean) != 3 or len(std) != 3:
        raise DetectorError(f"{path} has mean {mean} and std {std}, expected three values each")
    return _divided(mean, scale), _divided(std, scale)


def _divided(values: Any, scale: float) -> tuple[float, float, float]:
    red, green, blue = (value / scale for value in values)
    return red, green, blue
