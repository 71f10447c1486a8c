import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from mfd.coco import Annotations, mask_runs, read_dataset
from mfd.errors import DataError, StoreError
from mfd.headtrain.targets import build as building
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.image import image_targets
from mfd.headtrain.targets.read import Targets
from mfd.locks import exclusive_lock
from tests.builders.runs import make_dataset, make_store


def test_targets_are_what_each_image_alone_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "RUNS_PER_CHUNK", 128)
    monkeypatch.setattr(building, "RUNS_PER_SHARD", 512)  # several, the last not full
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, dataset, tmp_path)
    assert len(targets) == len(store)
    assert targets.counts[:3] == [2, 0, 2]
    assert targets.total.matched == sum(targets.counts) == 20
    for position, image in enumerate(dataset.images):
        features, found = store[position], targets[position]
        annotations = dataset.annotations.get(image.image_id, ())
        alone, _ = image_targets(features.logits, features.boxes, annotations, image, store.spec)
        for field in ("query_index", "object_index", "pair_iou"):
            assert np.array_equal(getattr(found, field), getattr(alone, field))
        for field in ("annotation_ids", "labels", "boxes_xyxy", "areas"):
            assert np.array_equal(getattr(found.objects, field), getattr(alone.objects, field))
        assert found.objects.size_hw == image.size_hw
        assert found.objects.view.window_xyxy == (0, 0, *image.size_hw[::-1])
        assert np.array_equal(found.objects.view.matrix, alone.objects.view.matrix)
        for runs, annotation in zip(found.objects.runs, annotations, strict=True):
            assert np.array_equal(runs, mask_runs(annotation.segmentation, image.size_hw))


def test_targets_are_built_once_and_again_for_other_annotations(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    first = build_targets(store, dataset, tmp_path)
    written = (first.path / "zarr.json").stat().st_mtime_ns
    again = build_targets(store, dataset, tmp_path)
    assert again.path == first.path
    assert (again.path / "zarr.json").stat().st_mtime_ns == written
    content = json.loads((tmp_path / "annotations.json").read_text())
    del content["annotations"][0]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    edited = read_dataset(tmp_path / "annotations.json", tmp_path / "images")
    other = build_targets(store, edited, tmp_path)
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
            build_targets(store, dataset, tmp_path)
    assert not [f for f in (tmp_path / "targets").iterdir() if not f.name.startswith(".")]
    assert build_targets(store, dataset, tmp_path).total.matched == 20


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


def flip_the_runs(runs: Path) -> None:
    (shard,) = runs.glob("c/*")
    content = bytearray(shard.read_bytes())
    content[3] ^= 1
    shard.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    **{name: delete(name) for name in ("runs", "runs/c", "label", "label/c/0", "pair_count")},
    **{name: delete(name) for name in ("zarr.json", "area/zarr.json")},
    "a flipped bit": flip_a_bit,
    "a strange file": lambda path: (path / "label/c/1").touch(),
    "no JSON": lambda path: (path / "zarr.json").write_text("{"),
    "another schema": edit('"schema": 2', '"schema": 9'),
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
    first = build_targets(store, dataset, tmp_path)
    expected = [first[position] for position in range(3)]
    damage(first.path)
    with pytest.raises(StoreError) as caught:
        Targets.open(first.path)
    assert "\n" not in str(caught.value)
    said: list[str] = []
    again = build_targets(store, dataset, tmp_path, said.append)
    assert again.path == first.path
    assert len(said) == 1
    assert said[0].startswith(f"building the targets again: {first.path} ")
    for position, before in enumerate(expected):
        assert np.array_equal(again[position].query_index, before.query_index)
        for mask, same in zip(again[position].objects.runs, before.objects.runs, strict=True):
            assert np.array_equal(mask, same)
    build_targets(store, dataset, tmp_path, said.append)
    assert len(said) == 1


def test_targets_without_digests_are_built_again(tmp_path: Path) -> None:
    store = make_store(tmp_path, 3)
    dataset = make_dataset(tmp_path, store)
    path = build_targets(store, dataset, tmp_path).path
    for name in ("sha256", "checksum"):
        del zarr.open_group(path).attrs[name]
        said: list[str] = []
        assert build_targets(store, dataset, tmp_path, said.append).counts == [2, 0, 2]
        assert len(said) == 1


def test_targets_with_a_changed_byte_are_never_read_as_others(tmp_path: Path) -> None:
    store = make_store(tmp_path, 3)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    sound = [targets[position].objects.runs for position in range(3)]
    rng = random.Random(4)
    refused = changed = 0
    for file in sorted(f for f in targets.path.rglob("*") if f.is_file()):
        content = file.read_bytes()
        for place in rng.choices(range(len(content)), k=9):
            damaged = bytearray(content)
            damaged[place] ^= rng.randrange(1, 256)
            file.write_bytes(damaged)
            changed += 1
            try:
                found = Targets.open(targets.path)
            except StoreError:
                refused += 1
            else:  # a blank of the group's metadata
                assert file == targets.path / "zarr.json", (file, place)
                for position, masks in enumerate(sound):
                    for mask, same in zip(found[position].objects.runs, masks, strict=True):
                        assert np.array_equal(mask, same)
        file.write_bytes(content)
    assert refused > 0.97 * changed


@pytest.mark.parametrize("damage", [shutil.rmtree, flip_the_runs], ids=["removed", "flipped"])
def test_targets_damaged_while_they_are_open_give_no_zeros(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = make_store(tmp_path, 3)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    assert any(run.any() for run in targets[0].objects.runs)
    damage(targets.path / "runs")
    with pytest.raises(StoreError, match=r"is damaged .* built again"):
        targets[0]


def test_targets_are_built_by_one_process(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    path = build_targets(store, dataset, tmp_path).path
    path.rename(path.with_name("elsewhere"))
    with (
        exclusive_lock(path.with_name(f".{path.name}.lock"), StoreError("nobody has it")),
        pytest.raises(StoreError, match="another process is building"),
    ):
        build_targets(store, dataset, tmp_path)


def test_annotations_of_other_images_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    with pytest.raises(DataError, match=r"does not list image 8 .*1 are missing"):
        build_targets(
            store, replace(dataset, images=dataset.images[:1] + dataset.images[2:]), tmp_path
        )
    with pytest.raises(DataError, match="no annotations"):
        build_targets(store, replace(dataset, annotations_file=None), tmp_path)


def test_targets_say_how_many_of_the_matched_boxes_fit(tmp_path: Path) -> None:
    store = make_store(tmp_path, 4)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    ious = [iou for image in map(targets.__getitem__, range(4)) for iou in image.pair_iou]
    fit = sum(iou >= 0.5 for iou in ious)
    assert str(targets) == f"{targets.total}; boxes of IoU 0.5 or more: {fit} of {len(ious)}"
    assert len(ious) == targets.total.matched > fit


def test_images_without_any_annotation_give_empty_targets(tmp_path: Path) -> None:
    store = make_store(tmp_path, 3)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, replace(dataset, annotations=Annotations.of()), tmp_path)
    assert targets.counts == [0, 0, 0]
    assert len(targets[1].objects) == 0
    assert targets[1].objects.crops(np.zeros(0, np.int64), np.zeros((0, 4)), 16)[0].shape == (
        0,
        16,
        16,
    )
