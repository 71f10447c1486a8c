import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mfd.headtrain.evaluation.metrics.figures import Figures
from mfd.headtrain.evaluation.report import Evaluation, Row

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
FIELDS = [
    *(f"box_{name}" for name in NAMES),
    *(f"mask_{name}" for name in NAMES),
    "mask_ap_filled_boxes",
    "mask_ap_untrained",
    "class_agnostic",
    "images",
    "detections",
    "seconds",
    "notes",
    "per_category",
    "rows",
]

BOX = Figures(
    dict(zip(NAMES, (0.5, 0.75, 0.25, 0.125, None, 1.0), strict=True)), {1: 0.5, 7: None, 8: 0.0}
)
MASK = Figures(
    dict(zip(NAMES, (0.25, 0.5, 0.125, 0.0, None, 0.75), strict=True)), {1: 0.25, 7: None, 8: 0.0}
)
ENTRY = {"image_id": 3, "category_id": 1, "score": 0.5}


def evaluation(*more: Row, rows: tuple[Row, ...] | None = None, **changes: Any) -> Evaluation:
    if rows is None:
        rows = (
            Row("boxes", "bbox", BOX, [{**ENTRY, "bbox": [1, 2, 3, 4]}]),
            Row("masks", "segm", MASK, [{**ENTRY, "segmentation": {"counts": b"abc"}}]),
        )
    values: dict[str, Any] = {
        "categories": {1: "cat", 7: "dog", 8: "eel"},
        "notes": ("mind this",),
        "images": 3,
        "detections": 300,
        "seconds": 12.345,
        "split": "val",
        "store": "demo-val",
    }
    return Evaluation((*rows, *more), **{**values, **changes})


def printed(table: object) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    lines = console.file.getvalue().replace("│", " ").replace("┃", " ").splitlines()  # type: ignore[attr-defined]
    return [line.split() for line in lines]


def test_json_has_these_fields_whatever_was_asked_for() -> None:
    filled = Row("filled boxes", "segm", MASK, group="baseline")
    for found in (evaluation(), evaluation(filled), evaluation(rows=(Row("boxes", "bbox", BOX),))):
        assert list(found.to_json()) == FIELDS
        for row in found.to_json()["per_category"]:
            assert list(row) == ["category_id", "name", "box_ap", "mask_ap"]


def test_json_is_flat_and_undefined_is_null() -> None:
    figures = evaluation(Row("filled boxes", "segm", MASK, group="baseline")).to_json()

    assert figures["box_ap"] == 0.5
    assert figures["box_ap_medium"] is None
    assert figures["mask_ap75"] == 0.125
    assert figures["mask_ap_filled_boxes"] == 0.25
    assert figures["mask_ap_untrained"] is None
    assert figures["per_category"][1:] == [
        {"category_id": 7, "name": "dog", "box_ap": None, "mask_ap": None},
        {"category_id": 8, "name": "eel", "box_ap": 0.0, "mask_ap": 0.0},
    ]
    assert (figures["images"], figures["seconds"], figures["notes"]) == (3, 12.35, ["mind this"])


def test_boxes_alone_have_no_mask_figures() -> None:
    figures = evaluation(rows=(Row("boxes", "bbox", BOX),)).to_json()

    assert figures["box_ap"] == 0.5
    assert figures["mask_ap"] is None
    assert figures["per_category"][0] == {
        "category_id": 1,
        "name": "cat",
        "box_ap": 0.5,
        "mask_ap": None,
    }


def test_a_row_of_another_metric_is_in_tables_and_json() -> None:
    row = Row(
        "boundaries", "segm", Figures({"ap": 0.1, "ap_thin": 0.05}, {1: 0.1, 7: None, 8: 0.3})
    )
    found = evaluation(row)

    assert found.to_json()["boundaries_ap_thin"] == 0.05
    assert found.to_json()["per_category"][0]["boundaries_ap"] == 0.1
    assert found["boundaries"] is row.figures
    table = printed(found.table())
    assert ["boundaries", "0.100", "-", "-", "-", "-", "-", "0.050"] in table
    assert ["cat", "0.500", "0.250", "0.100"] in printed(found.category_table())


def test_the_table_has_a_row_for_each_kind_and_a_dash_where_nothing_is_defined() -> None:
    lines = printed(evaluation(Row("filled boxes", "segm", MASK, group="baseline")).table())

    assert ["AP", "AP50", "AP75", "AP", "small", "AP", "medium", "AP", "large"] in lines
    assert ["masks", "0.250", "0.500", "0.125", "0.000", "-", "0.750"] in lines
    assert sum("filled" in line for line in lines) == 1
    assert not any("untrained" in line for line in lines)
    assert ["mind", "this"] in lines


def test_categories_are_listed_with_the_undefined_last() -> None:
    lines = printed(
        evaluation(Row("filled boxes", "segm", MASK, group="baseline")).category_table()
    )

    names = [line[0] for line in lines if line and line[0] in ("cat", "dog", "eel")]
    assert names == ["cat", "eel", "dog"]
    assert ["cat", "0.500", "0.250"] in lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[/b]", "[/b]"),
        ("[bold]", "[bold]"),
        ("\x1b[2J\ncat", "\\x1b[2J\\ncat"),
        ("\udcff", "\\udcff"),
    ],
)
def test_names_and_notes_from_data_are_printed_as_they_are(name: str, shown: str) -> None:
    found = evaluation(categories={1: name, 7: "dog", 8: "eel"}, notes=(f"unknown: {name}",))

    assert [shown, "0.500", "0.250"] in printed(found.category_table())
    assert ["unknown:", shown] in printed(found.table())
    json.dumps(found.to_json()).encode("ascii")


def test_files_hold_figures_split_and_store_and_the_results(tmp_path: Path) -> None:
    found = evaluation()

    found.write(tmp_path / "run")

    content = json.loads((tmp_path / "run/evaluation.json").read_text())
    rest = {"split": "val", "store": "demo-val", "curves": {"boxes": {}, "masks": {}}}
    assert content == {**found.to_json(), **rest}
    (box,) = json.loads((tmp_path / "run/results_bbox.json").read_text())
    (mask,) = json.loads((tmp_path / "run/results_segm.json").read_text())
    assert (box["bbox"], mask["segmentation"]["counts"]) == ([1, 2, 3, 4], "abc")
    assert len(list((tmp_path / "run").iterdir())) == 3


def test_boxes_alone_write_no_mask_results(tmp_path: Path) -> None:
    evaluation(rows=(Row("boxes", "bbox", BOX, []),)).write(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "results_bbox.json"}


def test_rows_of_other_groups_have_intervals_and_seconds_and_leave_the_flat_fields_alone() -> None:
    figures = replace(MASK, intervals={"ap": (0.2, 0.3)})
    row = Row("sam:x", "segm", figures, group="compared", seconds=1.25)
    found = evaluation(row)

    assert found.to_json()["rows"][-1] == {
        "name": "sam:x",
        "kind": "segm",
        "group": "compared",
        "seconds": 1.25,
        "figures": MASK.overall,
        "intervals": {"ap": [0.2, 0.3]},
    }
    assert [key for key in found.to_json() if "sam" in key] == []
    line = ["sam:x", "0.250", "0.200", "-", "0.300", "0.500", "0.125", "0.000", "-", "0.750", "1.2"]
    assert line in printed(found.table())
