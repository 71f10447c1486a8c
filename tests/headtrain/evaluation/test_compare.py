"""Two evaluations of one store, the second by a head that gets some masks wrong."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mfd.coco import CocoDataset
from mfd.errors import DataError
from mfd.headtrain.evaluation.compare import Side, compare
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput
from tests.builders.scenes import IMAGES, Knows, make_dataset, make_store


class Careless(Knows):
    """Leaves out the left half of the objects of every third image."""

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        output = super().forward(batch)
        bad = batch.queries[:, 0] % 3 == 0
        output.mask_logits[bad, :, :8] = -4
        return output


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def both(
    dataset: CocoDataset, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Side, Evaluation]]:
    folder = tmp_path_factory.mktemp("runs")
    store = make_store(folder, dataset)
    found = []
    for name, head in (("careful", Knows(dataset)), ("careless", Careless(dataset))):
        evaluation = evaluate(head, store, dataset, bootstrap=200)
        evaluation.write(folder / name)
        found.append((Side(name, folder / name, dataset), evaluation))
    return found


def test_differences_are_those_of_the_evaluations(both: list[tuple[Side, Evaluation]]) -> None:
    (first, one), (second, two) = both
    found = compare(first, second, bootstrap=200)
    assert (found.names, found.images) == (("careful", "careless"), IMAGES)
    by_name = {each.name: each for each in found.differences}
    for kind, row in (("box", "boxes"), ("mask", "masks")):
        for figure, value in one[row].overall.items():
            each = by_name[f"{kind} {figure}"]
            assert (each.first, each.second) == (value, two[row].overall[figure])
            assert value is None or each.value == two[row].overall[figure] - value
    assert by_name["mask ap"].value < -0.05
    assert by_name["mask ap"].interval[1] < 0


def test_what_is_equal_in_both_differs_by_nothing_in_every_resample(
    both: list[tuple[Side, Evaluation]],
) -> None:
    (first, _), (second, _) = both
    boxes = [d for d in compare(first, second, bootstrap=50).differences if "box" in d.name]
    assert {d.value for d in boxes} == {0.0, None}  # there are no large objects
    assert {d.interval for d in boxes} == {(0.0, 0.0), None}


def test_differences_are_surer_than_the_figures(both: list[tuple[Side, Evaluation]]) -> None:
    """Both are measured on the same draws, so that what is hard for both cancels out."""
    (first, one), (second, two) = both
    (mask_ap,) = (
        d for d in compare(first, second, bootstrap=200).differences if d.name == "mask ap50"
    )
    widths = [e["masks"].intervals["ap50"] for e in (one, two)]
    apart = sum((high - low) ** 2 for low, high in widths) ** 0.5
    assert mask_ap.interval[1] - mask_ap.interval[0] < apart


def test_table_has_signs_and_intervals(both: list[tuple[Side, Evaluation]]) -> None:
    console = Console(file=StringIO(), width=120)
    found = compare(both[0][0], both[1][0], bootstrap=50)
    console.print(found.table())
    shown = " ".join(console.file.getvalue().replace("│", " ").split())  # type: ignore[attr-defined]
    (each,) = (d for d in found.differences if d.name == "mask ap75")
    low, high = each.interval
    line = (
        f"mask AP75 {each.first:.3f} {each.second:.3f} {each.value:+.3f} {low:+.3f} to {high:+.3f}"
    )
    assert line in shown
    assert found.to_json()["differences"]["mask_ap75"]["difference"] == each.value


def test_other_images_are_refused(both: list[tuple[Side, Evaluation]]) -> None:
    (first, _), (second, _) = both
    fewer = replace(first.dataset, images=first.dataset.images[1:])
    with pytest.raises(DataError, match="careful and careless were measured on different images"):
        compare(first, replace(second, dataset=fewer))


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_damaged_results_are_named(
    both: list[tuple[Side, Evaluation]], content: str | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "results_bbox.json").write_text(content)
    (first, _), (second, _) = both
    with pytest.raises(DataError, match=r"results_bbox.json.*run `mfd evaluate` again"):
        compare(first, replace(second, folder=tmp_path), bootstrap=1)
