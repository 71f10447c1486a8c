"""The figures of a demo as JSON and as a table."""

import json
from io import StringIO

from rich.console import Console

from mfd.demo.summary import Summary

SUMMARY = Summary(
    box_ap=0.64,
    mask_ap=0.56,
    mask_ap_filled_boxes=0.16,
    mask_ap_untrained=0.008,
    seconds=201.5,
    stage_seconds={"generate": 5.0},
    commands=("mfd extract --split train",),
    pictures=("report.html",),
    evaluation={"box_ap": 0.64},
)


def test_the_json_holds_every_figure_under_its_own_name(tmp_path):
    SUMMARY.write(tmp_path / "summary.json")
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["box_ap"] == 0.64
    assert found["mask_ap"] == 0.56
    assert found["mask_ap_filled_boxes"] == 0.16
    assert found["mask_ap_untrained"] == 0.008
    assert found["seconds"] == 201.5
    assert found["pictures"] == ["report.html"]


def test_a_summary_is_read_as_it_was_written(tmp_path):
    SUMMARY.write(tmp_path / "summary.json")
    assert Summary.read(tmp_path / "summary.json") == SUMMARY


def test_the_table_compares_each_mask_ap_with_the_box_ap():
    console = Console(width=100, file=StringIO())
    console.print(SUMMARY.table())
    text = console.file.getvalue()
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert "0.560" in lines["masks: trained head"]
    assert "88%" in lines["masks: trained head"]
    assert "25%" in lines["masks: filled boxes"]
