import json
import os
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mfd.coco import Annotations, CocoDataset, ImageEntry
from mfd.errors import ConfigError, DataError
from mfd.headtrain.inference.files import (
    SOFTWARE,
    file_ids,
    image_files,
    is_picture,
    picture_paths,
    refuse_foreign,
)


def picture(path: Path, software: str | None = None) -> Path:
    info = PngInfo()
    if software:
        info.add_text("Software", software)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4)).save(path, pnginfo=info)
    return path


def names(paths: list[Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_folders_give_their_image_files_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "sub/c.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()

    assert names(image_files([tmp_path]), tmp_path) == ["a.PNG", "b.png"]
    found = names(image_files([tmp_path], recursive=True), tmp_path)
    assert found == ["a.PNG", "b.png", "sub/c.png"]


def test_named_files_are_taken_whatever_they_are_and_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    notes = tmp_path / "notes.txt"
    notes.write_text("")

    found = image_files([notes, tmp_path, tmp_path / "a.png"])

    assert names(found, tmp_path) == ["notes.txt", "a.png"]


def test_pictures_by_mfd_are_no_photographs(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.png.masks.png", SOFTWARE)

    assert names(image_files([tmp_path]), tmp_path) == ["a.png"]


def test_what_cannot_be_opened_is_not_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere")

    assert names(image_files([tmp_path]), tmp_path) == ["a.png", "gone.png", "pipe.png"]


def test_absent_paths_and_empty_folders_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "sub/c.png")

    with pytest.raises(DataError, match=r"no image .*gone\.jpg"):
        image_files([tmp_path / "gone.jpg"])
    with pytest.raises(DataError, match=r"holds no image file.*--recursive"):
        image_files([tmp_path])


def test_a_picture_is_recognised_by_what_is_written_in_it(tmp_path: Path) -> None:
    assert is_picture(picture(tmp_path / "ours.png", SOFTWARE))
    assert not is_picture(picture(tmp_path / "x.masks.png", "another program"))
    assert not is_picture(picture(tmp_path / "plain.png"))
    assert not is_picture(tmp_path / "absent.png")
    assert not is_picture(tmp_path)


def test_pictures_have_names_of_their_own(tmp_path: Path) -> None:
    files = [Path("a/cat.jpg"), Path("b/cat.jpg"), Path("a/cat.png"), Path("c/cat.jpg")]

    found = names(picture_paths(files, tmp_path), tmp_path)

    assert found == [
        "cat.jpg.masks.png",
        "cat.jpg-2.masks.png",
        "cat.png.masks.png",
        "cat.jpg-3.masks.png",
    ]


def test_ids_are_the_numbers_that_all_files_are_named_by() -> None:
    assert file_ids([Path("x/000000000139.jpg"), Path("00285.png")]) == [139, 285]
    assert file_ids([Path("000000000139.jpg"), Path("cat.jpg")]) == [0, 1]
    assert file_ids([Path("1.jpg"), Path("01.png")]) == [0, 1]
    assert file_ids([Path("²³.jpg")]) == [0]


def test_ids_are_those_of_the_annotations_where_given(tmp_path: Path) -> None:
    entries = (ImageEntry(70, "cat.jpg", (3, 3)), ImageEntry(9, "sub/7.jpg", (3, 3)))
    dataset = CocoDataset(tmp_path / "a.json", tmp_path, entries, {}, Annotations.of())
    files = [tmp_path / "sub/../sub/7.jpg", tmp_path / "cat.jpg"]

    assert file_ids(files, dataset) == [9, 70]
    with pytest.raises(DataError, match=r"dog\.jpg is not among the images of .*a\.json"):
        file_ids([tmp_path / "dog.jpg"], dataset)


@pytest.mark.parametrize(
    "content", [b"anything", b"[1, 2]", b'{"mine": 1}', b'[{"image_id": 1, "score": 0.5}]']
)
def test_a_file_that_mfd_did_not_make_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "predictions.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"predictions\.json exists and was not made by"):
        refuse_foreign([path], [])


def test_earlier_pictures_and_results_may_be_replaced(tmp_path: Path) -> None:
    entry = dict.fromkeys(
        ("image_id", "file_name", "category_id", "category", "score", "bbox", "segmentation", "x")
    )
    results = tmp_path / "predictions.json"
    results.write_text(json.dumps([entry]))

    refuse_foreign([picture(tmp_path / "a.png", SOFTWARE), results, tmp_path / "absent"], [])


def test_inputs_and_links_are_not_written_over(tmp_path: Path) -> None:
    ours = picture(tmp_path / "a.png", SOFTWARE)
    link = tmp_path / "link.png"
    link.symlink_to(ours)

    with pytest.raises(ConfigError, match="one of the images"):
        refuse_foreign([ours], [tmp_path / "." / "a.png"])
    with pytest.raises(ConfigError, match=r"link\.png exists"):
        refuse_foreign([link], [])
