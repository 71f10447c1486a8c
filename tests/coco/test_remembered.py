"""A data set from memory is the one that was parsed, or it is parsed again."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfd import files
from mfd.coco import CocoDataset, read_dataset, remembered
from mfd.coco.stream import JsonText
from mfd.errors import DataError
from tests.builders.annotations import annotation, content


@pytest.fixture(autouse=True)
def small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_MIN_BYTES", 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rle = {"size": [31, 47], "counts": [400, 99, 31 * 47 - 499]}
    triangle = [2.1, 3.7, 20.0, 5.25, 9.0, 30.0]
    records = [
        annotation(4, bbox=[0.1, 2, 3.5, 1e3], area=1 / 3),
        annotation(5, image_id=25, segmentation=rle, iscrowd=1),
        annotation(2**63 - 1, segmentation=[triangle, triangle[:4], [1, 1, 9, 1, 9, 9, 1, 9]]),
        annotation(6, segmentation=None, category_id=1),
        annotation(7, category_id=17),
        annotation(8, bbox=[1, 2, 3]),
    ]
    images = [
        {**each, "file_name": f"é/{each['id']}.jpg", "neg_category_ids": [90, each["id"]]}
        for each in content()["images"]
    ]
    write(tmp_path / "a.json", images=images, annotations=records)
    return tmp_path / "a.json"


def write(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(content(**changed)))


def read(file: Path, **options: Any) -> CocoDataset:
    options = {"skip_invalid": True, "remembered_in": file.parent / "stores", **options}
    return read_dataset(file, file.parent, **options)


def memory(file: Path) -> Path:
    (found,) = (file.parent / "stores").iterdir()
    return found


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The files that are parsed from now on."""
    found: list[Path] = []
    original = JsonText.members

    def members(self: JsonText) -> Any:
        found.append(self._path)
        return original(self)

    monkeypatch.setattr(JsonText, "members", members)
    return found


def test_a_remembered_data_set_is_the_parsed_one(file: Path, parsed: list[Path]) -> None:
    plain, first = read(file, remembered_in=None), read(file)
    assert len(parsed) == 2
    again = read(file)
    assert len(parsed) == 2
    assert plain == first == again
    assert again.federated.absent == {9: {9, 90}, 25: {25, 90}}  # type: ignore[union-attr]
    assert len(again.skipped) == 2
    assert again.annotations_sha256 == plain.annotations_sha256
    for name, column in remembered._packed(plain).items():
        same = remembered._packed(again)[name]
        assert column.dtype == same.dtype
        np.testing.assert_array_equal(column, same)
    with pytest.raises(DataError, match=r"2 of 6 annotations cannot be used"):
        read(file, skip_invalid=False)


def test_what_is_parsed_changes_with_the_parsers_number_only(file: Path) -> None:
    """Else memories of an older mfd would be taken for what this one would parse."""
    dataset = read(file)
    digest = hashlib.sha256(json.dumps([*dataset.categories.items(), *dataset.skipped]).encode())
    for name, column in remembered._packed(dataset).items():
        digest.update(f"{name} {column.dtype} {column.shape}".encode() + column.tobytes())
    assert (remembered._PARSER, digest.hexdigest()[:16]) == (2, "0a862b41611fa2fd")


def test_a_changed_file_is_parsed_again_and_a_touched_one_is_not(
    file: Path, parsed: list[Path]
) -> None:
    before = read(file)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read(file) == before
    assert len(parsed) == 1
    file.write_text(file.read_text().replace("1000.0", "1001.0"))  # of equal size
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 2))
    changed = read(file)
    assert changed.annotations[9][0].bbox_xywh == (0.1, 2, 3.5, 1001)
    assert changed == read(file) == read(file, remembered_in=None)


def test_a_touched_file_is_hashed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    original = remembered.file_sha256

    def noted(path: Path) -> str:
        hashed.append(path)
        return original(path)

    monkeypatch.setattr(remembered, "file_sha256", noted)
    before = read(file)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read(file) == before
    assert read(file) == before
    assert hashed == [file]


def test_names_are_checked_against_the_image_folder_that_is_given(tmp_path: Path) -> None:
    inside, other = tmp_path / "inside", tmp_path / "other"
    (image, _) = content()["images"]
    for folder in (inside, other):
        folder.mkdir()
    image["file_name"] = str(inside / "a.jpg")
    write(tmp_path / "a.json", images=[image], annotations=[])
    for _ in range(2):
        found = read_dataset(tmp_path / "a.json", inside, remembered_in=tmp_path / "stores")
        assert found.images[0].file_name == "a.jpg"
        with pytest.raises(DataError, match="leaves the image folder"):
            read_dataset(tmp_path / "a.json", other, remembered_in=tmp_path / "stores")
    with pytest.raises(DataError, match="no image folder"):
        read_dataset(tmp_path / "a.json", tmp_path / "no", remembered_in=tmp_path / "stores")


def test_a_damaged_memory_is_never_used_and_replaced(file: Path) -> None:
    expected = read(file)
    path, source = memory(file), remembered.Source(file, file.parent)
    whole = path.read_bytes()
    chance = np.random.default_rng(0)
    for place in chance.choice(len(whole), 300, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(flipped if place % 3 else whole[:place])
        assert remembered.recall(path.parent, source) is None, place
    for damaged in (b"", whole[:4], whole[:100], whole[:-1], whole + b"\0" * 8):
        path.write_bytes(damaged)
        assert read(file) == expected
        assert path.read_bytes() == whole


def test_another_parsers_memory_is_not_used(
    file: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read(file)
    monkeypatch.setattr(remembered, "_PARSER", 0)
    read(file)
    assert len(parsed) == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_costs_time_only(
    number: int, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *content: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "write_atomically", refuse)
    assert read(file) == read(file, remembered_in=None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (number == errno.ENOSPC), lines


def test_small_files_and_later_ranks_leave_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_MIN_BYTES", file.stat().st_size + 1)
    read(file)
    monkeypatch.setattr(remembered, "_MIN_BYTES", 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    read(file)
    assert not (file.parent / "stores").exists()
