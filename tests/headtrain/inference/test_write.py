import itertools
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mfd.errors import ConfigError, DataError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.formats import pictures
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.prediction import draw_predictions
from mfd.headtrain.inference.shown import DEFAULT, Shown
from mfd.headtrain.inference.write import predict_files
from tests.builders.scenes import CONFIG, NAMES, SPEC
from tests.test_api import Tiny


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Tiny(), MaskHead(CONFIG, SPEC).eval(), NAMES)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Photographs of odd sizes, two of one name."""
    made = []
    for number, name in enumerate(("a/cat.png", "dog.png", "b/cat.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (83, 61 + number, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        made.append(path)
    return made


def test_pictures_and_coco_json_are_what_the_predictor_gives(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    written = predict_files(predictor, files, tmp_path / "out", image_ids=[7, 3, 2**62])

    names = ["cat.png.masks.png", "dog.png.masks.png", "cat.png-2.masks.png"]
    *drawings, results = written.written
    assert [path.name for path in drawings] == names
    entries = json.loads(results.read_text())
    expected = []
    for file, image_id, picture in zip(files, [7, 3, 2**62], drawings, strict=True):
        rgb = Image.open(file)
        (found,) = predictor([rgb])
        expected += [{"image_id": image_id, "file_name": str(file), **p.to_dict()} for p in found]
        drawn = draw_predictions(rgb, found)
        assert drawn.size == rgb.size
        assert (np.asarray(Image.open(picture)) == np.asarray(drawn)).all()
    assert entries == expected
    assert written.masks == len(expected) > 0
    assert written.without == 0


def test_photographs_in_the_output_folder_stay_as_they_are(
    predictor: Predictor, files: list[Path]
) -> None:
    folder = files[1].parent
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}

    for _ in range(2):  # the second time over the pictures of the first
        predict_files(predictor, [files[1]], folder)

    assert {path: path.read_bytes() for path in before} == before
    names = {path.name for path in folder.iterdir()} - {"a", "b", "dog.png"}
    assert names == {"dog.png.masks.png", "predictions.json"}


def test_a_foreign_file_is_refused_before_any_work(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/cat.png-2.masks.png").write_bytes(b"mine")

    with pytest.raises(ConfigError, match="was not made by"):
        predict_files(predictor, files, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cat.png-2.masks.png"]
    assert (tmp_path / "out/cat.png-2.masks.png").read_bytes() == b"mine"


def test_results_are_kept_when_the_work_is_interrupted(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    class Interrupted(Predictor):
        def __call__(self, images: Any, shown: Shown = DEFAULT, **options: Any) -> Any:
            if options["image_ids"] == [1]:
                raise KeyboardInterrupt
            return super().__call__(images, shown, **options)

    stopped = Interrupted(predictor.detector, predictor.head, NAMES)
    with pytest.raises(KeyboardInterrupt):
        predict_files(stopped, files, tmp_path / "out", image_ids=[0, 1, 2])

    entries = json.loads((tmp_path / "out/predictions.json").read_text())
    (found,) = predictor([Image.open(files[0])])
    assert [entry["query"] for entry in entries] == [p.query for p in found]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.json",
        "cat.png.masks.png",
    }


def test_results_are_written_while_the_work_goes_on(
    predictor: Predictor, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock by which an hour passes between any two looks at it."""
    seen: list[int] = []

    class Watching(Predictor):
        def __call__(self, images: Any, shown: Shown = DEFAULT, **options: Any) -> Any:
            path = tmp_path / "out/predictions.json"
            if path.exists():
                seen.append(len(json.loads(path.read_text())))
            return super().__call__(images, shown, **options)

    hours = itertools.count(0, 3600)
    monkeypatch.setattr(pictures, "monotonic", lambda: next(hours))
    watching = Watching(predictor.detector, predictor.head, NAMES)
    written = predict_files(watching, files, tmp_path / "out")

    assert seen
    assert 0 < seen[0] < written.masks


def test_files_that_are_no_images_are_said_and_left_out(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    broken, pipe, gone = (tmp_path / f"{name}.jpg" for name in ("broken", "pipe", "gone"))
    broken.write_bytes(b"no image")
    os.mkfifo(pipe)
    gone.symlink_to("nowhere")
    given, said = [broken, pipe, gone, files[0]], list[str]()

    written = predict_files(predictor, given, tmp_path / "out", say=said.append)

    assert written.images == 1
    assert len(written.faults) == len(said) == 3
    assert said[0].startswith(f"left out: {broken} is not a whole image")
    assert said[1:] == [
        f"left out: {pipe} is a pipe, expected an image file",
        f"left out: there is no image {gone}; check the image folder",
    ]
    with pytest.raises(DataError, match="none of 1 files could be used"):
        predict_files(predictor, [broken], tmp_path / "out")


def test_images_without_masks_are_counted_and_the_cure_is_named(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    written = predict_files(predictor, files, tmp_path / "out", Shown(min_score=1.0))

    *drawn, results = written.written
    assert json.loads(results.read_text()) == []
    assert (written.masks, written.without) == (0, 3)
    assert "none on 3 of them" in written.summary(1.0)
    assert "--min-score" in written.summary(1.0)
    for file, picture in zip(files, drawn, strict=True):
        assert (np.asarray(Image.open(picture)) == np.asarray(Image.open(file))).all()


def test_thresholds_categories_and_scale_are_passed_on(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    shown = Shown(min_score=0.1, min_quality=0.55, categories_per_query="all")

    written = predict_files(predictor, files[:1], tmp_path / "out", shown, scale=3)

    (found,) = predictor([Image.open(files[0])], shown)
    entries = json.loads(written.written[-1].read_text())
    assert [(e["query"], e["category_id"]) for e in entries] == [
        (p.query, p.category_id) for p in found
    ]
    assert np.asarray(Image.open(written.written[0])).shape == (3 * 83, 3 * 61, 3)


def test_batches_of_images_of_one_size_change_no_result(
    predictor: Predictor, tmp_path: Path
) -> None:
    files = []
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (83, 61, 3), np.uint8)
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    files.insert(2, tmp_path / "broken.png")
    files[2].write_bytes(b"no image")

    lists = [
        json.loads(predict_files(predictor, files, out, batch_size=size).written[-1].read_text())
        for size, out in ((1, tmp_path / "one"), (3, tmp_path / "three"))
    ]

    assert {entry["image_id"] for entry in lists[0]} == {0, 1, 3, 4, 5}
    assert [(e["image_id"], e["query"]) for e in lists[0]] == [
        (e["image_id"], e["query"]) for e in lists[1]
    ]


def test_time_of_an_image_is_measured_after_the_first_batch(
    predictor: Predictor, files: list[Path], tmp_path: Path
) -> None:
    class Slow(Predictor):
        def __call__(self, images: Any, shown: Shown = DEFAULT, **options: Any) -> Any:
            time.sleep(2.0 if options["image_ids"] == [0] else 0.02)
            return super().__call__(images, shown, **options)

    slow = Slow(predictor.detector, predictor.head, NAMES)
    summary = predict_files(slow, files, tmp_path / "out").summary(0.4)
    found = re.search(r"(\d+) ms an image in detector and head, (\d+) ms with", summary)
    assert found
    alone, all_of_it = map(int, found.groups())
    assert 20 <= alone < 2000
    assert alone <= all_of_it
    one = predict_files(slow, files[:1], tmp_path / "single").summary(0.4)
    assert int(re.search(r"(\d+) ms an image", one)[1]) >= 2000  # type: ignore[index]
