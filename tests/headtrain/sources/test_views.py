"""Training on several views: crops agree with the transformed image, and draws belong to images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.cache import Store, StoreWriter, encode_features
from mfd.coco import CocoDataset, decode_segmentation
from mfd.detectors import ImageFeatures
from mfd.errors import DetectorError, TrainingError
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from mfd.images import Placement, map_boxes
from mfd.nn import cxcywh_to_xyxy, xyxy_to_cxcywh
from tests.builders.features import make_features
from tests.builders.masks import cell_means
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_identity, make_store

VIEWS = ("base", "flip", "ms:0", "lsj:2")
Pair = tuple[Store, Targets]
Change = Callable[[ImageFeatures, Placement | None], object]


def view_store(root: Path, view: str, change: Change = lambda *_: None) -> Store:
    """A store of 11 images in a view, `change` applied to the features of each."""
    identity = make_identity(11, SPEC, view=view, dtype="float32")
    placements = identity.placements or [None] * 11
    found = []
    for image, placement in zip(identity.images, placements, strict=True):
        features = make_features(image, SPEC, placement and placement.input_hw)
        change(features, placement)
        found.append(encode_features(features, "float32"))
    with StoreWriter.open(root, identity) as writer:
        writer.write(0, found)
        return Store.open(writer.finish())


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    root = tmp_path_factory.mktemp("stores")
    stores = {view: view_store(root, view) for view in VIEWS}
    dataset = make_dataset(root, stores["base"])
    return {view: (store, build_targets(store, dataset, root)) for view, store in stores.items()}


@pytest.fixture(scope="module")
def dataset(views: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"), views["base"][0])


def source_of(views: dict[str, Pair], *names: str, **recipe: int) -> StoredSource:
    first, *others = (views[name] for name in names)
    return StoredSource(*first, HEAD, replace(TRAIN, **recipe), others=others)


def seen_in(source: StoredSource, start: int, stop: int) -> list[tuple[int, tuple[int, ...]]]:
    """Id and input size of every image of some steps."""
    return [
        (int(name.split()[0]), tuple(hw))
        for batch in source.batches(start, stop)
        for name, hw in zip(batch.image_names, batch.features.input_hw.tolist(), strict=True)
    ]


def test_crops_of_a_flipped_view_are_the_flipped_crops_of_the_base_view(tmp_path: Path) -> None:
    """The mirrored image, whose detector predicts the mirrored boxes with the same scores."""

    def mirror(features: ImageFeatures, _: Placement | None) -> None:
        features.boxes[:, 0] = 1 - features.boxes[:, 0]

    base, flip = view_store(tmp_path, "base"), view_store(tmp_path, "flip", mirror)
    dataset = make_dataset(tmp_path, base)
    batches = [
        next(
            StoredSource(store, build_targets(store, dataset, tmp_path), HEAD, TRAIN).batches(0, 1)
        )
        for store in (base, flip)
    ]
    straight, mirrored = batches
    assert straight.image_names == mirrored.image_names
    assert torch.equal(straight.features.labels, mirrored.features.labels)
    difference = mirrored.crops.flip(-1).int() - straight.crops.int()
    assert abs(difference).max() <= 1  # 1 - x is rounded, and a crop to 256 steps
    assert straight.crops.float().std() > 50
    torch.testing.assert_close(straight.area_ratio, mirrored.area_ratio, rtol=1e-5, atol=0)


@pytest.mark.parametrize("view", ["ms:0", "lsj:0", "lsj:2"])
def test_crops_of_a_view_are_those_of_the_mask_in_the_transformed_image(
    tmp_path: Path, view: str
) -> None:
    """The mask is drawn as a picture, which goes through the view as pictures do."""

    def predict_objects(features: ImageFeatures, placement: Placement | None) -> None:
        assert placement is not None
        boxes = torch.tensor([a.bbox_xywh for a in dataset.annotations.get(features.image_id, ())])
        if len(boxes):
            boxes[:, 2:] += boxes[:, :2]
            height, width = placement.input_hw
            there = map_boxes(placement.matrix, boxes.double().numpy())
            found = xyxy_to_cxcywh(torch.from_numpy(there / (width, height, width, height)))
            features.boxes[: len(boxes)] = found.float()

    dataset = make_dataset(tmp_path, make_store(tmp_path))
    store = view_store(tmp_path, view, predict_objects)
    targets = build_targets(store, dataset, tmp_path)
    compared = 0
    for position, image_id in enumerate(store.image_ids):
        placement, found = store.placement(position), targets[position]
        assert placement is not None
        boxes = cxcywh_to_xyxy(store[position].boxes[found.query_index].double()).numpy()
        crops, ratios = found.objects.crops(found.object_index, boxes, 8)
        height, width = placement.input_hw
        for crop, ratio, box, row in zip(crops, ratios, boxes, found.object_index, strict=True):
            (annotation,) = (
                a
                for a in dataset.annotations[image_id]
                if a.annotation_id == found.objects.annotation_ids[row]
            )
            mask = decode_segmentation(annotation.segmentation, placement.original_hw)
            picture = Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2))
            plain = replace(SPEC.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
            shown = placement.apply(picture, plain).pixels[0].numpy()
            left, top, right, bottom = box * (width, height, width, height)
            if min(right - left, bottom - top) < 16:  # cells of less than two pixels
                continue
            expected = cell_means(shown, (left, top, right, bottom), 8)
            assert abs(crop / 255 - expected).mean() < 0.04  # bilinear edges are soft
            assert abs(crop / 255 - expected).max() < 0.5
            area = (right - left) * (bottom - top)
            assert ratio == pytest.approx(shown.sum() / area, rel=0.1)
            compared += 1
    assert compared >= 5


def test_objects_that_a_view_cuts_count_by_what_is_left_of_them(views: dict[str, Pair]) -> None:
    (_, base), (store, cropped) = views["base"], views["lsj:2"]
    assert cropped.total.matched + cropped.total.no_box + cropped.total.no_mask == 20
    cut = 0
    for position in range(len(store)):
        whole, left = base[position].objects, cropped[position].objects
        areas = dict(zip(whole.annotation_ids.tolist(), whole.areas.tolist(), strict=True))
        box = left.view.window_xyxy
        for annotation_id, area, (x0, y0, x1, y1) in zip(
            left.annotation_ids.tolist(), left.areas.tolist(), left.boxes_xyxy, strict=True
        ):
            assert 0 < area <= areas[annotation_id] + 1e-6
            assert box[0] <= x0 < x1 <= box[2]
            assert box[1] <= y0 < y1 <= box[3]
            cut += area < areas[annotation_id] - 1
    assert cut >= 3


def test_every_image_comes_once_an_epoch_in_one_of_its_views(views: dict[str, Pair]) -> None:
    source = source_of(views, *VIEWS)
    assert (source.images_per_epoch, source.steps_per_epoch) == (10, 4)
    sizes = {
        (image_id, tuple(hw)): view
        for view, (store, _) in views.items()
        for image_id, hw in zip(store.image_ids, store.input_hw.tolist(), strict=True)
    }
    drawn = []
    for epoch in range(8):
        seen = seen_in(source, 4 * epoch, 4 * epoch + 4)
        assert sorted(image_id for image_id, _ in seen) == sorted(
            image_id for n, image_id in enumerate(views["base"][0].image_ids) if n != 1
        )
        drawn += [sizes[each] for each in seen]
    assert {drawn.count(view) > 5 for view in ("ms:0", "lsj:2")} == {True}
    assert drawn.count("base") + drawn.count("flip") > 10  # of the same size


def test_one_view_gives_the_batches_it_gave_alone(views: dict[str, Pair]) -> None:
    alone, doubled = source_of(views, "flip"), source_of(views, "flip", "flip")
    assert seen_in(alone, 0, 8) == seen_in(doubled, 0, 8)
    assert "others" not in alone.describe()


def test_the_view_of_an_image_belongs_to_seed_epoch_and_image(views: dict[str, Pair]) -> None:
    names = ("base", "ms:0", "lsj:2")
    small, large = source_of(views, *names), source_of(views, *names, batch_size=7, readers=4)
    assert set(seen_in(small, 0, 4)) == set(seen_in(large, 0, 2))
    assert set(seen_in(small, 4, 8)) == set(seen_in(large, 2, 4)) != set(seen_in(small, 0, 4))
    resumed = seen_in(small, 5, 8)
    assert seen_in(small, 0, 8)[-len(resumed) :] == resumed
    assert set(seen_in(source_of(views, *names, seed=1), 0, 4)) != set(seen_in(small, 0, 4))


def test_images_without_objects_in_a_view_are_drawn_from_the_others(tmp_path: Path) -> None:
    base = view_store(tmp_path, "base")
    flip = view_store(tmp_path, "flip")
    dataset = make_dataset(tmp_path, base)
    targets = [build_targets(store, dataset, tmp_path) for store in (base, flip)]
    emptied = targets[1]
    emptied._columns["pair_iou"][:] = -1.0  # none is good enough to train on
    source = StoredSource(base, targets[0], HEAD, TRAIN, others=[(flip, emptied)])
    alone = StoredSource(base, targets[0], HEAD, TRAIN)
    assert seen_in(source, 0, 8) == seen_in(alone, 0, 8)


def test_views_that_do_not_go_together_are_refused(views: dict[str, Pair], tmp_path: Path) -> None:
    first = views["base"]
    dataset = make_dataset(tmp_path, first[0])
    other_type = make_store(tmp_path, view="flip", dtype="int8")
    with pytest.raises(TrainingError, match=r"has dtype int8, .* has float32"):
        StoredSource(
            *first, HEAD, TRAIN, others=[(other_type, build_targets(other_type, dataset, tmp_path))]
        )
    strange = replace(SPEC, weights_digest="9f" * 32)
    other_detector = make_store(tmp_path, spec=strange, view="flip", dtype="float32")
    with pytest.raises(DetectorError, match="weights"):
        StoredSource(
            *first, HEAD, TRAIN,
            others=[(other_detector, build_targets(other_detector, dataset, tmp_path))],
        )  # fmt: skip
    changed = make_dataset(tmp_path, first[0], objects=1)
    targets = build_targets(views["flip"][0], changed, tmp_path)
    with pytest.raises(TrainingError, match="has annotations"):
        StoredSource(*first, HEAD, TRAIN, others=[(views["flip"][0], targets)])


def test_a_source_describes_all_its_views_and_what_they_cost(views: dict[str, Pair]) -> None:
    source = source_of(views, "base", "flip")
    found = source.describe()
    assert (found["view"], found["others"]["1"]["view"]) == ("base", "flip")
    assert found["others"]["1"]["identity"] == views["flip"][0].identity.sha256
    bytes_of = [views[view][0].info().num_bytes for view in ("base", "flip")]
    assert source.cost()["extraction"]["bytes"] == sum(bytes_of)
    assert source.cost()["extraction"]["images"] == 22
