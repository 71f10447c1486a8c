"""Whether a detector obeys the contract of `mfd.detectors`; errors say what to change."""

import inspect
from typing import Any

from torch import Tensor, nn

from mfd.detectors.contract import DetectorOutput
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError


def check_contract(name: str, detector: object) -> None:
    """Nothing, if it is a module with a spec that can be called with images and their mask.

    Raises:
        DetectorError: names what is missing.
    """
    if not isinstance(detector, nn.Module):
        raise DetectorError(
            f"{name} gave a {type(detector).__name__}, expected a torch.nn.Module that returns "
            "DetectorOutput"
        )
    if not isinstance(spec := getattr(detector, "spec", None), DetectorSpec):
        raise DetectorError(
            f"the detector {name} has the spec {spec!r}, expected a DetectorSpec of mfd.detectors"
        )
    if isinstance(getattr(type(detector), "spec", None), property):
        raise DetectorError(
            f"the detector {name} has its spec as a property, expected an attribute, in which mfd "
            "fills in the weights' digest; set self.spec in __init__"
        )
    try:
        inspect.signature(detector.forward).bind("images", "padding_mask")
    except TypeError as error:
        raise DetectorError(
            f"the detector {name} cannot be called as detector(images, padding_mask): {error}"
        ) from error


def check_output(output: Any, spec: DetectorSpec, batch_hw: tuple[int, int, int]) -> None:
    """Nothing, if the output is what the spec promises.

    Args:
        batch_hw: number, height and width of the padded images.

    Raises:
        DetectorError: names the field, what it is and what it should be.
    """
    if not isinstance(output, DetectorOutput):
        raise DetectorError(
            f"detector {spec.name!r} returned a {type(output).__name__}, expected the "
            "DetectorOutput of mfd.detectors"
        )
    if not isinstance(output.memory, list | tuple) or len(output.memory) != len(spec.strides):
        given = type(output.memory).__name__
        if isinstance(output.memory, list | tuple):
            given = f"{len(output.memory)} encoder maps"
        raise DetectorError(
            f"detector {spec.name!r} gave {given} as memory, expected a list of "
            f"{len(spec.strides)}, a map for each of its strides {spec.strides}"
        )
    batch, height, width = batch_hw
    per_query = {"queries": spec.dim, "boxes": 4, "logits": spec.num_logits}
    for field, channels in per_query.items():
        _check_tensor(spec, field, getattr(output, field), (batch, spec.num_queries, channels))
    maps: list[tuple[str, Any, int, int]] = [
        (f"memory[{level}]", values, stride, spec.dim)
        for level, (values, stride) in enumerate(zip(output.memory, spec.strides, strict=True))
    ]
    if spec.has_c1:
        maps.append(("c1", output.c1, spec.c1_stride, spec.c1_channels))
    elif output.c1 is not None:
        raise DetectorError(
            f"detector {spec.name!r} gave a stage-1 map, expected None as c1 by its spec "
            "(c1_channels=0); set c1_channels and c1_stride"
        )
    for field, values, stride, channels in maps:
        rows, columns = -(-height // stride), -(-width // stride)
        expected = (batch, rows, columns, channels)
        context = f"for images of {height} x {width} at stride {stride}, channels last"
        _check_tensor(spec, field, values, expected, context)
    if output.boxes.float().median() > 1:
        raise DetectorError(
            f"detector {spec.name!r} gave boxes up to {output.boxes.max().item():.0f}, expected "
            "centre and size as shares of the unpadded image, between 0 and 1"
        )


def _check_tensor(
    spec: DetectorSpec, field: str, values: Any, expected: tuple[int, ...], context: str = ""
) -> None:
    """Its type and shape; the sides of a map may be one less, where strides are rounded down."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise DetectorError(
            f"detector {spec.name!r} gave {field} as {kind}, expected a tensor of floating point"
        )
    found = tuple(values.shape)
    slack = (0, 1, 1, 0) if context else (0, 0, 0)
    if len(found) != len(expected) or any(
        not side - less <= given <= side
        for given, side, less in zip(found, expected, slack, strict=True)
    ):
        raise DetectorError(
            f"detector {spec.name!r} gave {field} of shape {found}, expected {expected} by its "
            f"spec{context and ' ' + context}"
        )
