from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.cache import Store
from mfd.errors import TrainingError
from mfd.headtrain.sources.stored import StoredBatches
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from tests.headtrain.material import TRAIN, make_dataset, make_run, make_store


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Targets]:
    return make_run(tmp_path_factory.mktemp("stores"))


def test_an_epoch_has_every_image_with_objects_once(material: tuple[Store, Targets]) -> None:
    store, targets = material
    source = StoredBatches(store, targets, TRAIN)
    assert (source.images_per_epoch, source.steps_per_epoch) == (10, 4)
    names = [name for batch in source.batches(4, 8) for name in batch.image_names]
    assert sorted(names) == sorted(
        f"{image.image_id} ({image.file_name})" for n, image in enumerate(store.images) if n != 1
    )


def test_a_batch_holds_its_images_features_and_targets(material: tuple[Store, Targets]) -> None:
    store, targets = material
    (batch,) = StoredBatches(store, targets, TRAIN).batches(1, 2)
    box = 0
    for index, name in enumerate(batch.image_names):
        position = store.position(int(name.split()[0]))
        image, found = store[position], targets[position]
        height, width = image.memory[0].shape[:2]
        assert torch.equal(batch.features.memory[0][index, :height, :width], image.memory[0])
        for query, crop, ratio, label in zip(
            found.query_index, found.crops, found.area_ratio, found.labels, strict=True
        ):
            assert torch.equal(batch.features.queries[box], image.queries[query])
            assert torch.equal(batch.features.boxes[box], image.boxes[query])
            assert torch.equal(batch.crops[box], crop)
            assert batch.area_ratio[box] == ratio
            assert batch.features.labels[box] == label
            assert batch.features.image_index[box] == index
            box += 1
    assert box == len(batch.crops)
    assert batch.bytes_read > batch.crops.nbytes


@pytest.mark.parametrize("needs_c1", [True, False])
def test_int8_features_reach_the_head_as_floats(tmp_path: Path, needs_c1: bool) -> None:
    store = make_store(tmp_path, 3, dtype="int8")
    targets = build_targets(store, make_dataset(tmp_path, store), 32, tmp_path)
    (batch,) = StoredBatches(store, targets, TRAIN, needs_c1=needs_c1).batches(0, 1)
    assert batch.features.memory[1].dtype == torch.int8
    features = batch.to("cpu").features
    for index, name in enumerate(batch.image_names):
        image = store[store.position(int(name.split()[0]))]
        scales = image.memory_constants["scale"]
        expected, found = (
            [m * s for m, s in zip(image.memory, scales, strict=True)],
            features.memory,
        )
        if needs_c1:
            assert image.c1 is not None
            assert features.c1 is not None
            expected.append(image.c1 * image.c1_constants["scale"])
            found = [*found, features.c1]
        for ours, theirs in zip(found, expected, strict=True):
            height, width = theirs.shape[:2]
            assert torch.equal(ours[index, :height, :width], theirs)
    assert (features.c1 is None) == (not needs_c1)


def test_order_depends_neither_on_threads_nor_on_where_one_begins(
    material: tuple[Store, Targets],
) -> None:
    store, targets = material
    alone, many = (
        StoredBatches(store, targets, replace(TRAIN, readers=readers, prefetch=ahead))
        for readers, ahead in ((1, 1), (4, 7))
    )
    names = [batch.image_names for batch in alone.batches(0, 12)]
    assert [batch.image_names for batch in many.batches(0, 12)] == names
    assert [batch.image_names for batch in many.batches(6, 12)] == names[6:]


def test_a_store_without_c1_serves_only_heads_that_do_without(tmp_path: Path) -> None:
    store = make_store(tmp_path, profile="lite")
    targets = build_targets(store, make_dataset(tmp_path, store), 32, tmp_path)
    with pytest.raises(TrainingError, match="leaves out the stage-1 map"):
        StoredBatches(store, targets, TRAIN)
    (batch,) = StoredBatches(store, targets, TRAIN, needs_c1=False).batches(0, 1)
    assert batch.features.c1 is None
    completed = store.with_c1(lambda image_id: torch.full((3, 4, 5), float(image_id)))
    (batch,) = StoredBatches(completed, targets, TRAIN).batches(0, 1)
    assert batch.features.c1[0, 0, 0, 0] == int(batch.image_names[0].split()[0])


def test_targets_of_another_store_are_refused(
    material: tuple[Store, Targets], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="build the targets of this store"):
        StoredBatches(make_store(tmp_path, 3), material[1], TRAIN)


def test_targets_without_any_object_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, 2)
    targets = build_targets(store, make_dataset(tmp_path, store, iscrowd=1), 32, tmp_path)
    with pytest.raises(TrainingError, match="nothing to learn"):
        StoredBatches(store, targets, TRAIN)
