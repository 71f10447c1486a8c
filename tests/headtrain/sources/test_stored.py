import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mfd.cache import Store
from mfd.coco import decode_segmentation
from mfd.config import DetectorChoice
from mfd.errors import TrainingError
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from mfd.nn import cxcywh_to_xyxy
from tests.builders.masks import cell_means
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_run, make_store

NO_C1 = replace(HEAD, use_c1=False, neck=False)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Targets]:
    return make_run(tmp_path_factory.mktemp("stores"))


def test_an_epoch_has_every_image_with_objects_once(material: tuple[Store, Targets]) -> None:
    store, targets = material
    source = StoredSource(store, targets, HEAD, TRAIN)
    assert (source.images_per_epoch, source.steps_per_epoch) == (10, 4)
    names = [name for batch in source.batches(4, 8) for name in batch.image_names]
    assert sorted(names) == sorted(
        f"{image.image_id} ({image.file_name})" for n, image in enumerate(store.images) if n != 1
    )


def test_epochs_have_orders_of_their_own(material: tuple[Store, Targets]) -> None:
    source = StoredSource(*material, HEAD, TRAIN)
    steps = source.steps_per_epoch
    epochs = [
        [batch.image_names for batch in source.batches(epoch * steps, (epoch + 1) * steps)]
        for epoch in range(3)
    ]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_batch_holds_its_images_features_and_targets(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, dataset, tmp_path)
    (batch,) = StoredSource(store, targets, HEAD, TRAIN).batches(1, 2)
    box = 0
    for index, name in enumerate(batch.image_names):
        position = store.position(int(name.split()[0]))
        image, found = store[position], targets[position]
        height, width = image.memory[0].shape[:2]
        assert torch.equal(batch.features.memory[0][index, :height, :width], image.memory[0])
        frames = cxcywh_to_xyxy(image.boxes[found.query_index].double()).numpy()
        size = image.original_hw[::-1] * 2  # left, top, right, bottom are shares of it
        for query, of, frame in zip(found.query_index, found.object_index, frames, strict=True):
            (annotation,) = [
                a
                for a in dataset.annotations[image.image_id]
                if a.annotation_id == found.objects.annotation_ids[of]
            ]
            mask = decode_segmentation(annotation.segmentation, image.original_hw)
            left, top, right, bottom = frame * size
            expected = 255 * cell_means(mask, (left, top, right, bottom), 32)
            assert abs(batch.crops[box].numpy() - expected).max() <= 0.5 + 1e-9
            ratio = mask.sum() / ((right - left) * (bottom - top))
            assert batch.area_ratio[box].item() == pytest.approx(ratio, rel=1e-6)
            assert torch.equal(batch.features.queries[box], image.queries[query])
            assert torch.equal(batch.features.boxes[box], image.boxes[query])
            assert SPEC.category_ids[batch.features.labels[box]] == annotation.category_id
            assert batch.features.image_index[box] == index
            box += 1
    assert box == len(batch.crops)
    assert (
        batch.bytes_read
        > sum(len(batch.image_names) * maps[0].nbytes for maps in batch.features.memory) / 2
    )


@pytest.mark.parametrize("needs_c1", [True, False])
@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_stored_numbers_reach_the_head_as_floats(
    tmp_path: Path, dtype: str, needs_c1: bool
) -> None:
    store = make_store(tmp_path, 3, dtype=dtype)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    head = HEAD if needs_c1 else NO_C1
    (batch,) = StoredSource(store, targets, head, TRAIN).batches(0, 1)
    assert batch.features.memory[1].dtype == (torch.int8 if dtype == "int8" else torch.uint8)
    features = batch.to("cpu").features
    for index, name in enumerate(batch.image_names):
        image = store[store.position(int(name.split()[0]))]
        expected, found = decoded(image.memory, image.memory_constants), features.memory
        if needs_c1:
            assert image.c1 is not None
            assert features.c1 is not None
            one = {name: values[None] for name, values in image.c1_constants.items()}
            expected += decoded([image.c1], one)
            found = [*found, features.c1]
        for ours, theirs in zip(found, expected, strict=True):
            height, width = theirs.shape[:2]
            torch.testing.assert_close(ours[index, :height, :width], theirs, rtol=1e-6, atol=1e-6)
    assert (features.c1 is None) == (not needs_c1)


def decoded(maps: list[torch.Tensor], constants: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Maps by the formulas of their encodings."""
    if "offset" not in constants:
        return [m * scale for m, scale in zip(maps, constants["scale"], strict=True)]
    pairs = zip(constants["offset"], constants["scale"], strict=True)
    codes = [torch.cat((m % 16, m // 16), 2).float() for m in maps]
    return [
        offset + code[..., : len(scale)] * scale
        for code, (offset, scale) in zip(codes, pairs, strict=True)
    ]


def test_order_depends_neither_on_threads_nor_on_where_one_begins(
    material: tuple[Store, Targets],
) -> None:
    store, targets = material
    alone, many = (
        StoredSource(store, targets, HEAD, replace(TRAIN, readers=readers, prefetch=ahead))
        for readers, ahead in ((1, 1), (4, 7))
    )
    names = [batch.image_names for batch in alone.batches(0, 12)]
    assert [batch.image_names for batch in many.batches(0, 12)] == names
    assert [batch.image_names for batch in many.batches(6, 12)] == names[6:]


def test_a_store_without_c1_serves_only_heads_that_do_without(tmp_path: Path) -> None:
    store = make_store(tmp_path, profile="lite")
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    with pytest.raises(TrainingError, match="leaves out the stage-1 map"):
        StoredSource(store, targets, HEAD, TRAIN)
    (batch,) = StoredSource(store, targets, NO_C1, TRAIN).batches(0, 1)
    assert batch.features.c1 is None


def test_targets_of_another_store_are_refused(
    material: tuple[Store, Targets], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="build the targets of this store"):
        StoredSource(make_store(tmp_path, 3), material[1], HEAD, TRAIN)


def test_targets_without_any_object_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, 2)
    targets = build_targets(store, make_dataset(tmp_path, store, iscrowd=1), tmp_path)
    with pytest.raises(TrainingError, match="nothing to learn"):
        StoredSource(store, targets, HEAD, TRAIN)


def test_boxes_that_overlap_no_object_are_what_is_blamed(tmp_path: Path) -> None:
    store = make_store(tmp_path, 2)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    with pytest.raises(TrainingError, match=r"no matched object of IoU 1 .* with its box .*doctor"):
        StoredSource(store, targets, HEAD, replace(TRAIN, min_pair_iou=1.0))


def test_crops_have_four_cells_for_each_cell_of_the_masks(
    material: tuple[Store, Targets],
) -> None:
    (batch,) = StoredSource(*material, replace(HEAD, roi_size=24), TRAIN).batches(0, 1)
    assert batch.crops.shape[1:] == (96, 96)


def test_a_source_describes_its_store_and_targets(material: tuple[Store, Targets]) -> None:
    store, targets = material
    source = StoredSource(store, targets, HEAD, TRAIN)
    found = json.loads(json.dumps(source.describe()))
    assert found == source.describe()
    assert found["kind"] == "stored"
    assert found["identity"] == store.identity.sha256
    assert (found["split"], found["dtype"]) == ("train", "float16")
    assert Path(found["path"]) == store.path
    assert found["targets"] == {"path": str(targets.path), **targets.identity}
    assert source.categories[90] == "kind 90"


def test_a_source_knows_what_its_data_cost(material: tuple[Store, Targets]) -> None:
    store, targets = material
    cost = StoredSource(store, targets, HEAD, TRAIN).cost()
    assert cost["targets"] == {"seconds": targets.seconds, "bytes": targets.num_bytes}
    assert cost["extraction"]["bytes"] == store.info().num_bytes
    assert cost["extraction"]["seconds"] == store.info().seconds
    assert cost["extraction"]["images"] == 11


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        ({}, DetectorChoice("tiny", None, 3)),
        ({"detector": "hf:a/b"}, DetectorChoice("hf:a/b", None, 3)),
        ({"detector": "tiny", "weights": "t.pth"}, DetectorChoice("tiny", "t.pth", 3)),
        ({"detector": "own.py:make"}, DetectorChoice("own.py:make", None, None)),
    ],
)
def test_a_source_tells_how_its_detector_is_loaded(
    tmp_path: Path, provenance: dict[str, str], expected: DetectorChoice
) -> None:
    spec = replace(SPEC, encoder_layer=3)
    store = make_store(tmp_path, 3, spec, provenance=provenance)
    targets = build_targets(store, make_dataset(tmp_path, store), tmp_path)
    assert StoredSource(store, targets, HEAD, TRAIN).detector == expected
