"""The page in a real browser: no error, and everything that can be clicked works."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mfd.coco import CocoDataset
from mfd.headtrain import Run
from mfd.report import write_report
from tests.builders.browser import opened
from tests.report.test_write import dataset, runs  # noqa: F401


@pytest.fixture(scope="module")
def page(
    runs: list[Run],  # noqa: F811
    dataset: CocoDataset,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    path: Path = tmp_path_factory.mktemp("browser") / "report.html"
    write_report(path, runs, [dataset] * 2, "val", bootstrap=40)
    with opened(path.as_uri()) as found:
        yield found


def test_page_opens_without_an_error(page: Any) -> None:
    assert page.locator("h1").inner_text() == "one and two"
    assert page.faults == []


def test_toggles_show_and_hide_masks(page: Any) -> None:
    for toggle, shapes in (("show-found", "path.found"), ("show-truth", "path.truth")):
        shape = page.locator(shapes).first
        assert shape.is_visible()
        page.locator(f"[data-toggle={toggle}]").uncheck()
        assert not shape.is_visible()
        page.locator(f"[data-toggle={toggle}]").check()
        assert shape.is_visible()
    page.locator("[data-toggle=only-errors]").check()
    assert not page.locator("path.found.correct").first.is_visible()
    page.locator("[data-toggle=only-errors]").uncheck()


def test_pictures_are_filtered_and_sorted(page: Any) -> None:
    page.locator("#group").select_option("worst")
    shown = page.locator(".gallery figure:visible")
    assert shown.count() > 0
    assert {figure.get_attribute("data-group") for figure in shown.all()} == {"worst"}
    page.locator("#group").select_option("")
    page.locator("#order").select_option("errors")
    errors = [int(f.get_attribute("data-errors")) for f in page.locator(".gallery figure").all()]
    assert errors == sorted(errors, reverse=True)
    page.locator("#order").select_option("")


def test_table_is_sorted_by_a_click_on_its_head(page: Any) -> None:
    table = page.locator("table.sortable")
    objects = lambda: [int(c.inner_text()) for c in table.locator("td:nth-child(4)").all()]  # noqa: E731
    table.locator("th", has_text="objects").click()
    assert objects() == sorted(objects(), reverse=True)
    table.locator("th", has_text="objects").click()
    assert objects() == sorted(objects())


def test_page_fits_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
