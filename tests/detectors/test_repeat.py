"""A detector that sees the same image twice must say the same: what does not is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mfd.detectors import DetectorOutput, check_repeatable, load_detector
from mfd.errors import DetectorError
from mfd.images import LoadedImage

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"
IMAGE = LoadedImage(torch.randn(3, 40, 53), (80, 159))
Change = Callable[[DetectorOutput], DetectorOutput]


class Wrapped(nn.Module):
    """The tiny detector with something done to its input and its output."""

    def __init__(self, before: Callable[[Tensor], Tensor], after: Change) -> None:
        super().__init__()
        self.inner = load_detector(f"{TINY}:detector")
        self.spec, self.before, self.after = self.inner.spec, before, after

    def forward(self, images: Tensor, padding_mask: Tensor) -> DetectorOutput:
        return self.after(self.inner(self.before(images), padding_mask))


def refusal(before: Callable[[Tensor], Tensor], after: Change) -> str:
    with pytest.raises(DetectorError) as caught:
        check_repeatable(Wrapped(before, after).eval(), IMAGE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(value: Tensor) -> Tensor:
    return value


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (functional.dropout, lambda output: output, "boxes"),
        (lambda x: x.roll(int(torch.randint(1, 40, ())), -1), lambda output: output, "boxes"),
        (same, lambda o: replace(o, queries=functional.dropout(o.queries)), "queries"),
        (
            same,
            lambda o: replace(o, memory=[o.memory[0], functional.dropout(o.memory[1])]),
            "memory",
        ),
        (same, lambda o: replace(o, c1=o.c1 + torch.randn_like(o.c1) / 9), "c1"),
    ],
    ids=["dropout", "crop", "queries", "memory", "c1"],
)
def test_random_values_are_refused_by_the_output_they_reach(
    before: Callable[[Tensor], Tensor], after: Change, named: str
) -> None:
    text = refusal(before, after)
    assert f"gave other {named} when it saw the same image again" in text
    assert "dropout" in text


def test_a_part_in_training_mode_is_named() -> None:
    drop = nn.Dropout()
    detector = Wrapped(lambda images: drop.train()(images), lambda output: output)
    detector.drop = drop
    with pytest.raises(DetectorError, match="puts drop into training mode; remove that train"):
        check_repeatable(detector.eval(), IMAGE)


def test_sums_in_another_order_are_no_other_values() -> None:
    turns = iter((1.0, 1 + 1e-5))
    check_repeatable(
        Wrapped(same, lambda o: replace(o, queries=o.queries * next(turns))).eval(), IMAGE
    )


def test_values_that_are_not_finite_are_left_to_the_store() -> None:
    check_repeatable(Wrapped(same, lambda o: replace(o, logits=o.logits / 0)).eval(), IMAGE)
