"""Which images' masks are trained on."""

from dataclasses import replace
from pathlib import Path

import pytest

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.errors import DataError, TrainingError
from mfd.headtrain.sources.masks import MaskImages
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from tests.builders.runs import HEAD, TRAIN, make_dataset, make_store


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    root = tmp_path_factory.mktemp("many")
    return make_dataset(root, make_store(root, 61), objects=1)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Targets, CocoDataset]:
    root = tmp_path_factory.mktemp("material")
    store = make_store(root)
    dataset = make_dataset(root, store)
    return store, build_targets(store, dataset, root), dataset


def test_a_share_is_of_the_images_with_objects_and_holds_every_smaller_share(
    many: CocoDataset,
) -> None:
    """The second of the 61 images has none."""
    drawn = [MaskImages.drawn(many, share, seed=0).image_ids for share in (0.001, 0.1, 0.5, 1.0)]
    assert [len(each) for each in drawn] == [1, 6, 30, 60]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3] == set(many.annotations)


def test_a_share_depends_on_the_seed_and_no_other_image(many: CocoDataset) -> None:
    half = MaskImages.drawn(many, 0.5, seed=0).image_ids
    assert half == MaskImages.drawn(many, 0.5, seed=0).image_ids
    assert half != MaskImages.drawn(many, 0.5, seed=1).image_ids
    kept = many.annotations.of_images(sorted(many.annotations)[::-2])
    fewer = MaskImages.drawn(replace(many, annotations=kept), 0.2, seed=0).image_ids
    assert fewer == set(sorted(kept, key=[*ordered(many)].index)[:6])


def ordered(dataset: CocoDataset) -> list[int]:
    """Ids in the order in which growing shares draw them."""
    order: list[int] = []
    for count in range(1, 61):
        order += MaskImages.drawn(dataset, count / 60, seed=0).image_ids - set(order)
    return order


def test_images_are_listed_by_id_or_name(many: CocoDataset, tmp_path: Path) -> None:
    first, second = many.images[4], many.images[9]
    (tmp_path / "list.txt").write_text(f"{first.file_name}\n\n  {second.image_id}  \n")
    listed = MaskImages.listed(many, tmp_path / "list.txt")
    assert listed.image_ids == {first.image_id, second.image_id}
    assert listed.describe()["fraction"] is None


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", "names no image"),
        (b"nowhere.jpg\n5\n", "names 1 of 2 images that .* the first is 'nowhere.jpg'"),
        (b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_a_list_that_names_no_image_is_refused(
    many: CocoDataset, tmp_path: Path, content: bytes, refusal: str
) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=refusal):
        MaskImages.listed(many, tmp_path / "list.txt")


def test_only_the_chosen_images_are_in_an_epoch(
    material: tuple[Store, Targets, CocoDataset],
) -> None:
    store, targets, dataset = material
    masks = MaskImages.drawn(dataset, 0.4, seed=2)
    source = StoredSource(store, targets, HEAD, TRAIN, masks=masks)
    assert (source.images_per_epoch, source.steps_per_epoch) == (4, 2)
    names = [name for batch in source.batches(0, 2) for name in batch.image_names]
    assert {int(name.split()[0]) for name in names} == masks.image_ids
    assert len(names) == 4
    assert source.describe()["masks"] == masks.describe()
    assert "masks" not in StoredSource(store, targets, HEAD, TRAIN).describe()
    assert {image.image_id for image in masks.only(dataset).images} == masks.image_ids
    assert masks.only(dataset).annotations.keys() == masks.image_ids


def test_images_without_matched_objects_teach_nothing(
    material: tuple[Store, Targets, CocoDataset],
) -> None:
    store, targets, _ = material
    with pytest.raises(TrainingError, match="has no matched object in 1 images"):
        StoredSource(store, targets, HEAD, TRAIN, masks=MaskImages(frozenset({store.image_ids[1]})))
