"""Digests of image files: right, remembered, and renewed when a file changes."""

import hashlib
import os
import random
from pathlib import Path

import pytest

from mfd.extract import digests, image_digests
from tests.builders.tiny import make_dataset


def test_digests_are_sha256_and_a_missing_file_has_a_mark(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 5)
    dataset.path(dataset.images[3]).unlink()
    found = image_digests(dataset, tmp_path)
    for i, entry in enumerate(dataset.images):
        path = dataset.path(entry)
        expected = "0" * 64 if i == 3 else hashlib.sha256(path.read_bytes()).hexdigest()
        assert found[i] == expected


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 5)
    path = dataset.path(dataset.images[1])
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    found = image_digests(dataset, tmp_path / "stores")
    assert [digest == digests.ABSENT for digest in found].count(True) == 1
    assert found[1] == digests.ABSENT


def test_files_are_read_once_until_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "images", 5)
    first = image_digests(dataset, tmp_path)
    read: list[str] = []
    original = digests.file_sha256
    monkeypatch.setattr(
        digests, "file_sha256", lambda path: (read.append(path.name), original(path))[1]
    )
    assert image_digests(dataset, tmp_path) == first
    assert read == []
    edited = dataset.path(dataset.images[2])
    content = bytearray(edited.read_bytes())
    content[-20] ^= 1  # same length
    edited.write_bytes(content)
    os.utime(edited, ns=(1, 1))
    second = image_digests(dataset, tmp_path)
    assert read == [edited.name]
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False, True, True]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"null", b"7", b'"x"', b'{"0.png": 1}', b'{"0.png": [[1, 2], 3]}', b"\xff\xfe",
        b'{"0.png": [[1, null], "ab"]}', b'{"0.png": [[1, 2], "no hex"]}', b'{"files": 3}',
        b'{"files": {"0.png": 3}, "sha256": "ab"}', b'{"files": [], "sha256": null}',
    ],
)  # fmt: skip
def test_a_damaged_memory_is_made_again(tmp_path: Path, content: bytes) -> None:
    dataset = make_dataset(tmp_path / "images", 3)
    first = image_digests(dataset, tmp_path)
    (memory,) = tmp_path.glob(".digests-*.json")
    whole = memory.read_bytes()
    for damaged in (content, whole[:40]):
        memory.write_bytes(damaged)
        assert image_digests(dataset, tmp_path) == first
        assert memory.read_bytes() == whole


def test_a_changed_byte_of_the_memory_makes_no_other_digest(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 3)
    first = image_digests(dataset, tmp_path)
    (memory,) = tmp_path.glob(".digests-*.json")
    whole = memory.read_bytes()
    rng = random.Random(0)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= rng.randrange(1, 256)
        memory.write_bytes(damaged)
        assert image_digests(dataset, tmp_path) == first


def test_what_was_hashed_before_ctrl_c_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "images", 5)
    read: list[str] = []
    original = digests.file_sha256

    def stopped_at_the_fourth(path: Path) -> str:
        read.append(path.name)
        if len(read) == 4:
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(digests, "file_sha256", stopped_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        image_digests(dataset, tmp_path, workers=1)
    del read[4:]  # such as a worker has begun meanwhile
    image_digests(dataset, tmp_path, workers=1)
    assert read[4:] == [entry.file_name for entry in dataset.images[3:]]


def test_progress_is_shown_while_files_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_digests(make_dataset(tmp_path / "images", 5), tmp_path)
    assert "hash images: 5/5" in capsys.readouterr().err
