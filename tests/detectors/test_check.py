"""A custom detector that breaks the contract: its author is told where and what to change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mfd.detectors import detect
from mfd.detectors.check import check_contract
from mfd.detectors.load import load_detector
from mfd.errors import DetectorError
from mfd.images import LoadedImage

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"
IMAGE = LoadedImage(torch.randn(3, 40, 53), (80, 159))


def tiny() -> nn.Module:
    """The detector for images of one size, which are not padded."""
    detector = load_detector(f"{TINY}:detector")
    fixed = replace(detector.spec.preprocessing, size_hw=(40, 53))
    detector.spec = replace(detector.spec, preprocessing=fixed)
    return detector


def refusal(detector: nn.Module) -> str:
    with pytest.raises(DetectorError) as caught:
        detect(detector, [IMAGE], [1])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"num_queries": 6}, "queries of shape (1, 5, 8), expected (1, 6, 8)"),
        ({"dim": 9}, "queries of shape"),
        ({"category_ids": (1,)}, "logits of shape"),
        ({"scores": "softmax"}, "logits of shape (1, 5, 3), expected (1, 5, 4)"),
        ({"strides": (8, 16, 32)}, "gave 2 encoder maps as memory, expected a list of 3"),
        ({"strides": (8, 32)}, "memory[1] of shape (1, 3, 4, 8), expected (1, 2, 2, 8)"),
        ({"c1_channels": 5}, "c1 of shape (1, 10, 14, 6), expected (1, 10, 14, 5)"),
        ({"c1_stride": 8}, "expected (1, 5, 7, 6) by its spec for images of 40 x 53 at stride 8"),
    ],
)
def test_a_spec_that_contradicts_the_output_is_refused(
    fields: dict[str, object], problem: str
) -> None:
    detector = tiny()
    detector.spec = replace(detector.spec, **fields)
    assert problem in refusal(detector)


@pytest.mark.parametrize(
    ("field", "change", "problem"),
    [
        ("memory", lambda maps: [m.permute(0, 3, 1, 2) for m in maps], "channels last"),
        ("memory", lambda maps: [m.transpose(1, 2) for m in maps], "(1, 7, 5, 8), expected (1, 5"),
        ("memory", lambda maps: [m.flatten(1, 2) for m in maps], "memory[0] of shape (1, 35, 8)"),
        ("memory", lambda maps: maps[0], "gave Tensor as memory, expected a list of 2"),
        ("c1", lambda c1: c1[:, :8], "c1 of shape (1, 8, 14, 6)"),
        ("c1", lambda c1: None, "c1 as NoneType, expected a tensor"),
        ("boxes", lambda boxes: boxes.numpy(), "boxes as ndarray, expected a tensor"),
        ("boxes", lambda boxes: boxes * 640, "expected centre and size as shares of the"),
        ("logits", lambda logits: logits.long(), "logits as torch.int64, expected a tensor of"),
    ],
)
def test_an_output_of_another_form_is_refused(
    field: str, change: Callable[[Any], Any], problem: str
) -> None:
    detector = tiny()

    def alter(module: nn.Module, inputs: Any, output: Any) -> Any:
        return replace(output, **{field: change(getattr(output, field))})

    detector.register_forward_hook(alter)
    assert problem in refusal(detector)


def test_anything_but_a_detector_output_is_refused() -> None:
    detector = tiny()
    detector.register_forward_hook(lambda module, inputs, output: vars(output))
    assert "returned a dict, expected the DetectorOutput of mfd.detectors" in refusal(detector)


def test_maps_may_be_rounded_down() -> None:
    detector = tiny()
    detector.register_forward_hook(
        lambda module, inputs, output: replace(output, c1=output.c1[:, :9, :13])
    )
    (features,) = detect(detector, [IMAGE], [1])
    assert features.c1 is not None
    assert features.c1.shape == (9, 13, 6)


def test_a_module_that_takes_no_padding_mask_is_refused_before_it_runs() -> None:
    class Unmasked(nn.Identity):
        spec = tiny().spec

    with pytest.raises(DetectorError, match=r"own\.py:unmasked cannot be called as detector"):
        check_contract("own.py:unmasked", Unmasked())


def test_a_spec_that_cannot_be_filled_in_is_refused() -> None:
    class Fixed(nn.Identity):
        spec = property(lambda self: tiny().spec)

    with pytest.raises(DetectorError, match=r"has its spec as a property, expected an attribute"):
        check_contract("own.py:fixed", Fixed())


def test_categories_are_numbers_not_names() -> None:
    spec = load_detector(f"{TINY}:detector").spec
    with pytest.raises(DetectorError, match="category_ids must be COCO's numbers; found 'cat'"):
        replace(spec, category_ids=(1, "cat", 3))  # type: ignore[arg-type]


def test_a_map_that_the_spec_denies_is_refused() -> None:
    detector = load_detector(f"{TINY}:detector_without_c1")
    detector.register_forward_hook(
        lambda module, inputs, output: replace(output, c1=output.memory[0])
    )
    assert "gave a stage-1 map, expected None as c1 by its spec (c1_channels=0)" in refusal(
        detector
    )
