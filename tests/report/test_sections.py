"""Tables of a report from what evaluations say."""

from types import SimpleNamespace
from typing import Any

from mfd.report.sections import figures_table
from mfd.report.subject import FIGURES


def subject(name: str, **figures: float) -> Any:
    row = {"name": "masks", "figures": dict.fromkeys(FIGURES, 0.5) | figures}
    return SimpleNamespace(name=name, rows=[row])


def test_figures_beyond_cocos_have_columns_of_their_own() -> None:
    table = figures_table([subject("coco"), subject("lvis", ap_rare=0.25, ap_frequent=0.75)])
    assert table.header[6:] == ["large", "rare", "frequent"]
    assert [cell.text for cell in table.rows[0][-2:]] == ["-", "-"]
    assert [cell.text for cell in table.rows[1][-2:]] == ["0.250", "0.750"]
    assert {len(row) for row in table.rows} == {9}
