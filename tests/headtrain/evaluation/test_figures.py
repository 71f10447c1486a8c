import io

from rich.console import Console

from mfd.headtrain.evaluation.coco_ap import AveragePrecision
from mfd.headtrain.evaluation.figures import Evaluation

BOX = AveragePrecision(0.5, 0.75, 0.25, 0.125, None, 1.0, {1: 0.5, 7: None})
MASK = AveragePrecision(0.25, 0.5, 0.125, 0.0, None, 0.75, {1: 0.25, 7: None})


def evaluation(filled: AveragePrecision | None = None) -> Evaluation:
    return Evaluation(BOX, MASK, filled, None, {1: "cat", 7: "dog"}, ("mind this",), 3, 300, 12.345)


def printed(table: object) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    lines = console.file.getvalue().replace("│", " ").replace("┃", " ").splitlines()
    return [line.split() for line in lines]


def test_json_is_flat_and_undefined_is_null() -> None:
    figures = evaluation(filled=MASK).to_json()

    assert figures["box_ap"] == 0.5
    assert figures["box_ap_medium"] is None
    assert figures["mask_ap75"] == 0.125
    assert figures["mask_ap_filled_boxes"] == 0.25
    assert figures["mask_ap_untrained"] is None
    assert figures["per_category"][1] == {
        "category_id": 7,
        "name": "dog",
        "box_ap": None,
        "mask_ap": None,
    }
    assert (figures["images"], figures["seconds"], figures["notes"]) == (3, 12.35, ["mind this"])


def test_the_table_has_a_row_for_each_kind_and_a_dash_where_nothing_is_defined() -> None:
    lines = printed(evaluation(filled=MASK).table())

    assert ["masks", "0.250", "0.500", "0.125", "0.000", "-", "0.750"] in lines
    assert sum("filled" in line for line in lines) == 1
    assert not any("untrained" in line for line in lines)
    assert ["mind", "this"] in lines


def test_categories_are_listed_with_the_undefined_last() -> None:
    lines = printed(evaluation().category_table())

    assert lines.index(["cat", "0.500", "0.250"]) < lines.index(["dog", "-", "-"])
