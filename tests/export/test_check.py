"""What an exported file is refused for, and what it is not: the order of equal scores."""

import pytest
import torch
from torch import Tensor, nn

from mfd.errors import ExportError
from mfd.export.check import TOLERANCE, Ranking, check_agreement
from mfd.export.parts import Part

SCORES = torch.tensor([[0.9, 0.5, 0.1, 0.5 + 1e-7, 0.7]])
VALUES = torch.tensor([[10.0, 20.0, 30.0, 40.0, 50.0]])


class Ranked(nn.Module):
    """The three best scores, and what lies at their places."""

    def forward(self, scores: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        best, places = scores.topk(3)
        return best, values.gather(-1, places)


def part_of(module: nn.Module, *arguments: Tensor) -> Part:
    outputs = tuple(f"output_{n}" for n in range(len(module(*arguments))))
    return Part("part", module, outputs, {}, {}, arguments, [arguments])


def chose(places: list[int], error: float = 0.0) -> tuple[list[Tensor], list[Tensor]]:
    """The answers of a file that ranks so."""
    at = torch.tensor([places])
    return [SCORES.gather(1, at), VALUES.gather(1, at) + error], [at]


def test_either_order_of_equal_scores_is_right() -> None:
    part = part_of(Ranked(), SCORES, VALUES)
    for places in ([0, 4, 3], [0, 4, 1]):
        assert check_agreement(part, lambda *_: chose(places)) < 1e-6  # noqa: B023


@pytest.mark.parametrize("places", [[0, 4, 2], [4, 0, 3], [0, 0, 4]])
def test_place_of_another_score_is_wrong(places: list[int]) -> None:
    with pytest.raises(ExportError, match="differs from PyTorch"):
        check_agreement(part_of(Ranked(), SCORES, VALUES), lambda *_: chose(places))


def test_value_at_a_place_that_was_chosen_as_well_is_compared() -> None:
    part = part_of(Ranked(), SCORES, VALUES)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        check_agreement(part, lambda *_: chose([0, 4, 1], error=1.0))


def test_ranking_notes_what_was_chosen() -> None:
    with Ranking() as ranking:
        Ranked()(SCORES, VALUES)
    assert [places.tolist() for places in ranking.places] == [[[0, 4, 3]]]


class Doubled(nn.Module):
    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        return (2 * values,)


@pytest.mark.parametrize("wrong", [2 * TOLERANCE, float("nan")])
def test_wrong_file_is_not_kept(wrong: float) -> None:
    part = part_of(Doubled(), torch.full((2, 3), 0.2))
    assert check_agreement(part, lambda x: ((2 * x,), ())) == 0
    assert check_agreement(part, lambda x: ((2 * x + TOLERANCE / 2,), ())) <= TOLERANCE
    with pytest.raises(ExportError, match=r"differs from PyTorch by .* it was not kept"):
        check_agreement(part, lambda x: ((2 * x + wrong,), ()))


def test_difference_counts_in_units_of_the_largest_value() -> None:
    part = part_of(Doubled(), torch.tensor([1.0, 500.0]))
    assert check_agreement(part, lambda x: ((2 * x + 0.05,), ())) == pytest.approx(5e-5, rel=1e-3)


class Sharp(nn.Module):
    """A box, and what lies in it: a step."""

    def forward(self, values: Tensor, boxes: Tensor | None = None) -> tuple[Tensor, ...]:
        found = values / 3
        return found, ((found if boxes is None else boxes) * 1e4).sigmoid()


def test_mask_is_compared_in_the_box_of_the_file() -> None:
    values, moved = torch.tensor([0.1e-3, 0.3e-3]), 2e-6
    arguments = (values,)
    part = Part("part", Sharp(), ("boxes", "mask"), {}, {}, arguments, [arguments], ("boxes",))
    at = values / 3 + moved
    assert check_agreement(part, lambda _: ((at, (at * 1e4).sigmoid()), ())) < 3e-6
    for wrong in ((at, (at * 1e4).sigmoid() + 2e-4), (at + 2e-4, ((at + 2e-4) * 1e4).sigmoid())):
        with pytest.raises(ExportError, match="differs from PyTorch"):
            check_agreement(part, lambda _: (wrong, ()))  # noqa: B023


def test_file_that_does_not_run_on_a_sample_is_refused_in_one_line() -> None:
    def run(*_: Tensor) -> None:
        raise RuntimeError("shapes [2, 4] and [2, 12]\nin a reshape")

    with pytest.raises(ExportError, match=r"other sizes .*RuntimeError: shapes \[2, 4\].*kept$"):
        check_agreement(part_of(Ranked(), SCORES, VALUES), run)  # type: ignore[arg-type]
