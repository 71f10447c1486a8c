"""Write what is missing and finish."""

from dataclasses import replace
from pathlib import Path

import pytest

from mfd.cache import Store, StoreWriter, encode_features, verify_store
from mfd.config import StoredDtype
from mfd.errors import StoreError
from tests.builders.features import SPEC, features_of, make_features, make_identity
from tests.builders.stores import fill


def test_a_finished_store_is_not_written_again(sound_store: Path) -> None:
    def times() -> dict[Path, int]:
        return {f: f.stat().st_mtime_ns for f in sound_store.rglob("*") if f.name != ".lock"}

    before = times()
    with StoreWriter.open(sound_store.parent, make_identity()) as writer:
        assert writer.finish() == sound_store
    assert times() == before


def test_seconds_add_up_over_interruptions(tmp_path: Path) -> None:
    for seconds in (1.5, 2.25):
        with StoreWriter.open(tmp_path, make_identity(20)) as writer:
            writer.write(writer.todo[0], features_of(writer.images(writer.todo[0])))
            writer.add_elapsed(seconds)
    assert Store.open(writer.finish()).info().seconds == 3.75


def test_a_store_of_another_identity_is_refused_naming_field_and_both_values(
    tmp_path: Path,
) -> None:
    with StoreWriter.open(tmp_path, make_identity()) as writer:
        path = fill(writer)
    other = make_identity(spec=replace(SPEC, weights_digest="cd" * 32))
    path.rename(tmp_path / other.folder_name)  # as if the first eight digits were the same
    with pytest.raises(StoreError) as refusal:
        StoreWriter.open(tmp_path, other)
    assert f'detector.weights_digest is "{"ab" * 32}", expected "{"cd" * 32}"' in str(refusal.value)


def test_an_unfinished_store_cannot_be_declared_complete(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        writer.write(1, features_of(writer.images(1)))
        with pytest.raises(StoreError, match="2 of 3 units are missing, the first is unit 0"):
            writer.finish()


def test_a_store_with_a_lost_shard_cannot_be_declared_complete(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(20)) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit)))
        (writer.path / "dec/query/c.1.0.0").unlink()
        with pytest.raises(StoreError, match=r"dec/query/c.1.0.0 is missing"):
            writer.finish()


def test_features_of_other_images_than_the_units_are_refused(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        for images in (writer.images(1), writer.images(0)[:15]):
            with pytest.raises(StoreError, match="unit 0 got features of images"):
                writer.write(0, features_of(images))
        assert writer.todo == (0, 1, 2)


@pytest.mark.parametrize(("dtype", "found"), [("float32", "float32"), ("int8", "int8")])
def test_features_of_another_element_type_are_refused_naming_the_image(
    tmp_path: Path, dtype: StoredDtype, found: str
) -> None:
    with StoreWriter.open(tmp_path, make_identity(20)) as writer:
        features = features_of(writer.images(0))
        features[9] = encode_features(make_features(writer.images(0)[9]), dtype)
        message = f"image {features[9].image_id}: .* is {found}, the store holds float16; encode"
        with pytest.raises(StoreError, match=message):
            writer.write(0, features)
        assert writer.todo == (0, 1)


def test_images_that_could_not_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    identity = make_identity(20)
    with StoreWriter.open(tmp_path, identity) as writer:
        for unit in writer.todo:
            features = features_of(writer.images(unit))
            writer.write(unit, [f if f.image_id != 14 else None for f in features])
        store = Store.open(writer.finish())
    assert [image.image_id for image in store.invalid] == [14]
    assert len(store) == 19
    assert 14 not in store.image_ids
    assert store[store.position(17)].image_id == 17
    with pytest.raises(StoreError, match="has no image 14"):
        store.position(14)
    assert verify_store(store.path) == []


def test_a_unit_of_zeros_is_stored_and_read_as_zeros_also_over_another(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(3)) as writer:
        features = features_of(writer.images(0))
        writer.write(0, features)
        for image in features:
            image.logits.zero_()
        writer.write(0, features)
        store = Store.open(writer.finish())
    assert not store[2].logits.any()
    assert verify_store(store.path) == []


def test_finished_images_are_those_of_the_finished_units(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity()) as writer:
        for unit in (writer.num_units - 1, *range(writer.num_units - 1)):  # the shorter one first
            writer.write(unit, features_of(writer.images(unit)))
            open_units = sum(len(writer.images(unit)) for unit in writer.todo)
            assert writer.num_images_done == len(writer.identity.images) - open_units > 0
