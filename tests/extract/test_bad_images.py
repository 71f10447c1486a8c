"""Images that cannot be read, or only now and then."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mfd.cache import Store, StoreWriter
from mfd.coco import CocoDataset
from mfd.errors import DataError, StoreError
from mfd.extract import ExtractConfig, extract


def break_images(dataset: CocoDataset) -> list[str]:
    """Spoil five of 37 files, each in another way; returns their names."""
    paths = [dataset.path(dataset.images[i]) for i in (0, 4, 17, 20, 36)]
    paths[0].unlink()
    paths[1].write_bytes(b"")
    paths[2].write_bytes(paths[2].read_bytes()[:900])
    paths[3].write_text("not an image")
    paths[4].write_bytes(dataset.path(dataset.images[1]).read_bytes())  # another size
    return [path.name for path in paths]


def test_bad_images_are_named_and_left_out_and_the_rest_is_extracted(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    names = break_images(dataset)
    lines: list[str] = []
    with (
        open_writer(detector, dataset) as writer,
        pytest.raises(DataError, match="5 of 37 images could not be used") as caught,
    ):
        extract(detector, dataset, writer, say=lines.append)
    assert all(name in str(caught.value) for name in names)
    assert "fix the files and extract again" in str(caught.value)
    named = [line for line in lines if "left out" in line]
    assert len(named) == 5
    assert all(name in line for name, line in zip(names, named, strict=True))
    store = Store.open(writer.path)
    assert len(store) == 32
    assert [image.file_name for image in store.invalid] == names
    for i in range(len(store)):
        assert store[i].image_id == store.image_ids[i]

    with (
        open_writer(detector, dataset) as writer,
        pytest.raises(DataError, match="5 of 37"),
    ):
        extract(detector, dataset, writer)  # nothing to do, and still no success


def test_images_that_were_out_of_reach_are_added_by_the_next_extraction(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter], tmp_path: Path
) -> None:
    with open_writer(detector, dataset, split="whole") as writer:
        whole = Store.open(extract(detector, dataset, writer).path)
    away = [dataset.path(dataset.images[i]) for i in (3, 4, 20)]
    with open_writer(detector, dataset) as writer:
        for path in away:
            path.rename(path.with_suffix(".away"))
        with pytest.raises(DataError, match="3 of 37 images could not be used"):
            extract(detector, dataset, writer)
    for path in away:
        path.with_suffix(".away").rename(path)
    lines: list[str] = []
    with open_writer(detector, dataset) as writer:
        assert writer.todo == ()
        away[2].rename(away[2].with_suffix(".away"))
        with pytest.raises(DataError, match="1 of 37 images could not be used"):
            extract(detector, dataset, writer, say=lines.append)
    assert "images that could not be used before and can now: 2" in lines
    away[2].with_suffix(".away").rename(away[2])
    with open_writer(detector, dataset) as writer:
        assert extract(detector, dataset, writer).images == 16  # one unit again
    store = Store.open(writer.path)
    assert store.image_ids == whole.image_ids
    for mine, theirs in zip(store, whole, strict=True):
        torch.testing.assert_close(mine.queries, theirs.queries)
        for level, expected in zip(mine.memory, theirs.memory, strict=True):
            torch.testing.assert_close(level, expected)


def test_an_image_that_changed_after_it_was_listed_is_left_out(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    path = dataset.path(dataset.images[5])
    content = path.read_bytes()
    lines: list[str] = []
    with open_writer(detector, dataset) as writer:
        Image.open(path).rotate(180).save(path)
        with pytest.raises(DataError, match=f"1 of 37 .*{path.name}"):
            extract(detector, dataset, writer, say=lines.append)
    (line,) = [line for line in lines if "left out" in line]
    assert "is not the file that was listed" in line
    path.write_bytes(content)
    os.utime(path, ns=(5, 5))
    with open_writer(detector, dataset) as writer:
        assert len(Store.open(extract(detector, dataset, writer).path)) == 37


def test_strict_stops_at_the_first_bad_image_and_keeps_what_was_finished(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    bad = dataset.path(dataset.images[20])
    bad.write_bytes(b"")
    with (
        open_writer(detector, dataset) as writer,
        pytest.raises(DataError, match=bad.name),
    ):
        extract(detector, dataset, writer, ExtractConfig(strict=True))
    assert writer.todo == (1, 2)
    with pytest.raises(StoreError, match="unfinished"):
        Store.open(writer.path)
