"""Where image and annotation files are found, and what is no COCO file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfd.coco import read_dataset, split_paths
from mfd.errors import DataError
from tests.builders.annotations import content, second_image


@pytest.mark.parametrize("depth", ["file", "folder"])
def test_links_are_followed_wherever_they_lead(
    depth: str, tmp_path: Path, write: Callable[..., Any]
) -> None:
    paths = write(content())
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "second.png").touch()
    if depth == "folder":
        (tmp_path / "images" / "b").symlink_to(tmp_path / "pool")
    else:
        (tmp_path / "images" / "b").mkdir()
        (tmp_path / "images" / "b" / "second.png").symlink_to("../../pool/second.png")
    dataset = read_dataset(*paths)
    assert [entry.file_name for entry in dataset.missing()] == ["first.jpg"]


@pytest.mark.parametrize(
    "name", ["b\\c.png", "{dir}/b/c.png", "{dir}/../images/b/c.png", "a/../b/c.png", "b\\/c.png"]
)
@pytest.mark.parametrize("relative", [False, True])
def test_a_name_that_stays_inside_the_folder_is_found(
    name: str,
    relative: bool,
    tmp_path: Path,
    write: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = name.format(dir=tmp_path / "images")
    annotations, images = write(content(images=second_image(file_name=name)))
    (images / "b").mkdir()
    (images / "b" / "c.png").touch()
    if relative:
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        images = Path("..") / "images"
    dataset = read_dataset(annotations, images)
    assert [entry.file_name for entry in dataset.missing()] == ["first.jpg"]


def test_an_absolute_name_may_go_through_the_folders_own_link(
    tmp_path: Path, write: Callable[..., Any]
) -> None:
    name = str(tmp_path / "images" / "c.png")
    annotations, images = write(content(images=second_image(file_name=name)))
    (tmp_path / "linked").symlink_to(images)
    assert read_dataset(annotations, tmp_path / "linked").images[1].file_name == "c.png"


def test_an_image_folder_that_is_itself_a_link_is_accepted(
    tmp_path: Path, write: Callable[..., Any]
) -> None:
    annotations_file, images_dir = write(content())
    (tmp_path / "linked").symlink_to(images_dir)
    assert len(read_dataset(annotations_file, tmp_path / "linked").images) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": [', "\ufffe"])
def test_what_is_no_coco_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(DataError, match=r"broken\.json"):
        read_dataset(tmp_path / "broken.json", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"images": [], "categories": [], "annotations": []}',
        '{"images": [{}], "images": [], "categories": [], "annotations": []}',
    ],
)
def test_a_byte_order_mark_and_repeated_keys_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_dataset(tmp_path / "a.json", tmp_path).images == ()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '{"images": [' + "[" * 900 + "]" * 900 + "]}", "9" * 10_000],
)
def test_deep_nesting_and_huge_numbers_are_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(DataError, match=r"deep\.json"):
        read_dataset(tmp_path / "deep.json", tmp_path)


def test_missing_files_and_folders_are_named(tmp_path: Path, write: Callable[..., Any]) -> None:
    annotations_file, _ = write(content())
    with pytest.raises(DataError, match=r"no annotation file .*none\.json"):
        read_dataset(tmp_path / "none.json", tmp_path)
    with pytest.raises(DataError, match=r"no image folder .*nowhere"):
        read_dataset(annotations_file, tmp_path / "nowhere")
    with pytest.raises(DataError, match="'test'"):
        split_paths(tmp_path, "test")


def test_images_without_a_file_are_known_before_any_work(write: Callable[..., Any]) -> None:
    annotations, images = write(content())
    dataset = read_dataset(annotations, images)
    with pytest.raises(DataError, match=r"holds none of the 2 images .* first is first.jpg"):
        dataset.missing()
    (images / "first.jpg").touch()
    assert [entry.image_id for entry in dataset.missing()] == [25]
    assert [entry.image_id for entry in dataset.present().images] == [9]


def test_a_file_without_images_is_refused_when_images_are_wanted(write: Callable[..., Any]) -> None:
    dataset = read_dataset(*write(content(images=[], annotations=[])))
    with pytest.raises(DataError, match="lists no image"):
        dataset.missing()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_annotations_that_are_no_file_are_named_and_not_opened(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "annotations.json"
    make(path)
    with pytest.raises(DataError, match=r"annotations.json is not a regular file"):
        read_dataset(path, tmp_path)
