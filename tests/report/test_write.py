"""The whole page, of an evaluation on generated shapes."""

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.coco import CocoDataset
from mfd.errors import ConfigError
from mfd.headtrain import (
    MaskHead,
    Run,
    Side,
    compare,
    evaluate,
    evaluation_dir,
    evaluations_of,
    latest_evaluation,
)
from mfd.report import write_report
from tests.builders.heads import save_head
from tests.builders.scenes import CONFIG, NAMES, SPEC, Knows, make_dataset, make_store

HOSTILE = {**NAMES, 1: "<script>alert(1)</script>", 3: "a\"'&b"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    found = make_dataset(tmp_path_factory.mktemp("report"))
    found.categories.update(HOSTILE)
    for entry in found.images:
        pixels = np.full((*entry.size_hw, 3), 90, np.uint8)
        Image.fromarray(pixels).save(found.path(entry))
    return found


@pytest.fixture(scope="module")
def runs(dataset: CocoDataset, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    store = make_store(folder, dataset)
    found = []
    for name in ("one", "two"):
        run = save_head(folder / name, MaskHead(CONFIG, SPEC), HOSTILE)
        head = Knows(dataset) if name == "one" else run.load_head()
        more = {"baselines": True, "oracles": True, "bootstrap": 30} if name == "one" else {}
        evaluation = evaluate(head, store, dataset, split="val", **more)
        evaluation.write(evaluation_dir(run, "val", store.path.name))
        run.metrics_file.write_text(
            "".join(
                f'{{"step": {n}, "epoch": {n / 9}, "loss_bce": {1 / n}}}\n' for n in range(1, 20)
            )
        )
        training = {"seconds": 7200.0, "bytes": 5000, "images": 40, "steps": 9}
        run.write_cost({"training": {**training, "waiting_seconds": 90.0}})
        found.append(run)
    return found


class Page(HTMLParser):
    """The text of a page, how often each tag occurs, and what it refers to."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(path: Path, runs: list[Run], dataset: CocoDataset) -> tuple[str, Page]:
    write_report(path, runs, [dataset] * len(runs), "val", bootstrap=40)
    content = path.read_text(encoding="utf-8")
    return content, Page(content)


def test_page_needs_nothing_but_itself(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    content, page = page_of(tmp_path / "report.html", runs[:1], dataset)
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not re.search(r"@import|url\(|fetch\(|https?:", content)
    assert len(content) < 5e6


def test_category_names_stay_text(runs: list[Run], dataset: CocoDataset, tmp_path: Path) -> None:
    content, page = page_of(tmp_path / "report.html", runs[:1], dataset)
    assert page.tags["script"] == 1
    assert "<script>alert(1)" not in content
    assert HOSTILE[3] in page.text


def test_page_shows_the_figures_of_the_evaluation(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    _, page = page_of(tmp_path / "report.html", runs[:1], dataset)
    ((_, evaluation),) = evaluations_of(runs[0])
    for key in ("mask_ap", "box_ap", "mask_ap75", "mask_ap_filled_boxes", "mask_ap_untrained"):
        assert f"{evaluation[key]:.3f}" in page.text
    assert "2.0 h" in page.text
    assert "of it waiting for data--90 s" in "".join(page.text.split("\n")).replace("  ", "")
    masks, oracle = (
        next(row for row in evaluation["rows"] if row["name"] == name)
        for name in ("masks", "oracle masks")
    )
    assert f"oracle masks{oracle['figures']['ap']:.3f}" in page.text.replace("\n", "")
    low, high = masks["intervals"]["ap"]
    assert f"{low:.3f} to {high:.3f}" in page.text
    assert page.tags["img"] == len(dataset.images)


def test_page_shows_the_figures_of_earlier_evaluations(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    """Those without rows, as written before there were oracles."""
    folder = tmp_path / "one"
    shutil.copytree(runs[0].path, folder)
    (file,) = folder.glob("evaluations/*/evaluation.json")
    evaluation = json.loads(file.read_text())
    del evaluation["rows"]
    file.write_text(json.dumps(evaluation))
    _, page = page_of(tmp_path / "report.html", [Run.open(folder)], dataset)
    for key in ("mask_ap", "box_ap", "mask_ap75", "mask_ap_filled_boxes", "mask_ap_untrained"):
        assert f"{evaluation[key]:.3f}" in page.text
    assert "oracle" not in page.text


def test_second_run_is_shown_by_its_differences(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    _, page = page_of(tmp_path / "report.html", runs, dataset)
    (_, first), (_, second) = (evaluations_of(run)[0] for run in runs)
    assert f"{second['mask_ap'] - first['mask_ap']:+.3f}" in page.text
    assert "Differences are to one." in page.text


def test_intervals_of_differences_are_those_of_compare(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    _, page = page_of(tmp_path / "report.html", runs, dataset)
    sides = [Side(run.name, latest_evaluation(run, "val")[0], dataset) for run in runs]
    shown = " ".join(page.text.split())
    changes = [d for d in compare(*sides, bootstrap=40).differences if "mask" in d.name]
    assert len(changes) == 6
    cells = [
        "-" if d.value is None else "{:+.3f} {:+.3f} to {:+.3f}".format(d.value, *d.interval)
        for d in changes
    ]
    assert f"two: masks{''.join(cells)}" in shown
    assert "two: boxes+0.000" not in shown  # the detector is the same
    assert "from 40 resamples" in shown


def test_one_run_and_no_resamples_have_no_intervals(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    _, page = page_of(tmp_path / "report.html", runs[:1], dataset)
    write_report(tmp_path / "report.html", runs, [dataset] * 2, "val")
    for text in (page.text, (tmp_path / "report.html").read_text()):
        assert "How sure" not in text


def test_run_that_was_not_evaluated_is_named(dataset: CocoDataset, tmp_path: Path) -> None:
    run = save_head(tmp_path / "three", MaskHead(CONFIG, SPEC), NAMES)
    with pytest.raises(ConfigError, match=r"three has no evaluation on val; run `mfd evaluate"):
        write_report(tmp_path / "report.html", [run], [dataset], "val")


def test_image_that_is_gone_is_left_out(
    runs: list[Run], dataset: CocoDataset, tmp_path: Path
) -> None:
    away = dataset.path(dataset.images[0])
    content = away.read_bytes()
    away.unlink()
    said: list[str] = []
    try:
        write_report(tmp_path / "report.html", runs[:1], [dataset], "val", say=said.append)
    finally:
        away.write_bytes(content)
    assert len(said) == 1
    assert str(away) in said[0]
