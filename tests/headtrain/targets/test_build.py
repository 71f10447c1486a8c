import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from mfd.coco import read_dataset
from mfd.errors import DataError, StoreError
from mfd.files import exclusive_lock
from mfd.headtrain.targets import build as building
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.objects import matched_objects
from mfd.headtrain.targets.read import Targets
from tests.builders.runs import make_dataset, make_store


def test_targets_are_what_each_image_alone_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CROPS_PER_SHARD", 8)  # several shards, the last half full
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, dataset, 12, tmp_path)
    assert len(targets) == len(store)
    assert targets.crop_size == 12
    assert targets.counts[:3] == [2, 0, 2]
    assert targets.total.matched == sum(targets.counts) == 20
    for position, image in enumerate(dataset.images):
        features, found = store[position], targets[position]
        annotations = dataset.annotations.get(image.image_id, ())
        rows, _ = matched_objects(
            features.logits, features.boxes, annotations, image, store.spec, 12
        )
        assert found.query_index.tolist() == [row.query_index for row in rows]
        assert found.labels.tolist() == [row.label for row in rows]
        assert found.annotation_ids.tolist() == [row.annotation_id for row in rows]
        assert np.allclose(found.area_ratio, [row.area_ratio for row in rows])
        for crop, row in zip(found.crops, rows, strict=True):
            assert np.array_equal(crop, row.crop)


def test_targets_are_built_once_and_again_for_other_annotations(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    first = build_targets(store, dataset, 16, tmp_path)
    written = (first.path / "zarr.json").stat().st_mtime_ns
    again = build_targets(store, dataset, 16, tmp_path)
    assert again.path == first.path
    assert (again.path / "zarr.json").stat().st_mtime_ns == written
    assert build_targets(store, dataset, 24, tmp_path).path != first.path

    content = json.loads((tmp_path / "annotations.json").read_text())
    del content["annotations"][0]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    edited = read_dataset(tmp_path / "annotations.json", tmp_path / "images")
    other = build_targets(store, edited, 16, tmp_path)
    assert other.path != first.path
    assert other.total.matched == first.total.matched - 1


def test_a_killed_build_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building, "array_sha256", killed)  # the last thing before the rename
        with pytest.raises(KeyboardInterrupt):
            build_targets(store, dataset, 16, tmp_path)
    assert not [f for f in (tmp_path / "targets").iterdir() if not f.name.startswith(".")]
    assert build_targets(store, dataset, 16, tmp_path).total.matched == 20


def delete(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink()

    return damage


def edit(old: str, new: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        text = (path / "zarr.json").read_text()
        assert old in text
        (path / "zarr.json").write_text(text.replace(old, new, 1))

    return damage


def flip_a_bit(path: Path) -> None:
    chunk = path / "query_index/c/0"
    content = bytearray(chunk.read_bytes())
    content[-5] ^= 1
    chunk.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    **{name: delete(name) for name in ("crop", "crop/c", "label", "label/c/0", "pointer")},
    **{name: delete(name) for name in ("zarr.json", "area_ratio/zarr.json")},
    "a flipped bit": flip_a_bit,
    "a strange file": lambda path: (path / "label/c/1").touch(),
    "no JSON": lambda path: (path / "zarr.json").write_text("{"),
    "another schema": edit('"schema": 1', '"schema": 9'),
    "a missing attribute": edit('"total"', '"totals"'),
    "a strange attribute": edit('"matched"', '"watched"'),
    "attributes of another type": edit('"categories": {', '"categories": 3, "c": {'),
    "digests of another type": edit('"sha256": {', '"sha256": [1], "c": {'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_targets_that_are_damaged_are_refused_and_built_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = make_store(tmp_path, 3)
    dataset = make_dataset(tmp_path, store)
    first = build_targets(store, dataset, 16, tmp_path)
    expected = [first[position] for position in range(3)]
    damage(first.path)
    with pytest.raises(StoreError) as caught:
        Targets.open(first.path)
    assert "\n" not in str(caught.value)
    said: list[str] = []
    again = build_targets(store, dataset, 16, tmp_path, said.append)
    assert again.path == first.path
    assert len(said) == 1
    assert said[0].startswith(f"building the targets again: {first.path} ")
    for position, before in enumerate(expected):
        assert torch.equal(again[position].crops, before.crops)
        assert torch.equal(again[position].query_index, before.query_index)
    build_targets(store, dataset, 16, tmp_path, said.append)
    assert len(said) == 1


def test_targets_without_digests_are_opened(tmp_path: Path) -> None:
    store = make_store(tmp_path, 3)
    dataset = make_dataset(tmp_path, store)
    path = build_targets(store, dataset, 16, tmp_path).path
    del zarr.open_group(path).attrs["sha256"]  # as mfd 0.1 wrote them
    written = (path / "zarr.json").stat().st_mtime_ns
    assert build_targets(store, dataset, 16, tmp_path).counts == [2, 0, 2]
    assert (path / "zarr.json").stat().st_mtime_ns == written
    shutil.rmtree(path / "crop")
    with pytest.raises(StoreError, match="the array crop is missing"):
        Targets.open(path)


def test_targets_are_built_by_one_process(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    path = build_targets(store, dataset, 16, tmp_path).path
    path.rename(path.with_name("elsewhere"))
    with (
        exclusive_lock(path.with_name(f".{path.name}.lock"), StoreError("nobody has it")),
        pytest.raises(StoreError, match="another process is building"),
    ):
        build_targets(store, dataset, 16, tmp_path)


def test_annotations_of_other_images_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    with pytest.raises(DataError, match=r"does not list image 8 .*1 are missing"):
        build_targets(
            store, replace(dataset, images=dataset.images[:1] + dataset.images[2:]), 16, tmp_path
        )
    with pytest.raises(DataError, match="no annotations"):
        build_targets(store, replace(dataset, annotations_file=None), 16, tmp_path)


def test_an_augmented_view_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, view="flip")
    with pytest.raises(StoreError, match="'flip'"):
        build_targets(store, make_dataset(tmp_path, store), 16, tmp_path)


def test_images_without_any_annotation_give_empty_targets(tmp_path: Path) -> None:
    store = make_store(tmp_path, 3)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, replace(dataset, annotations={}), 16, tmp_path)
    assert targets.counts == [0, 0, 0]
    assert targets[1].crops.shape == (0, 16, 16)
