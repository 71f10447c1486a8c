import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mfd.cache.store.identity import StoreIdentity, difference, image_difference
from mfd.errors import ConfigError, StoreError
from mfd.files import file_sha256
from mfd.images.preprocessing import Preprocessing
from tests.builders.features import SPEC, make_identity


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("name", "other"),
        ("weights_digest", "cd" * 32),
        ("code_version", 2),
        ("encoder_layer", 3),
        ("strides", (8, 32)),
        ("preprocessing", Preprocessing(mean=(0.0, 0.0, 0.0))),
    ],
)
def test_every_property_of_the_detector_that_changes_numbers_changes_the_identity(
    field: str, other: object
) -> None:
    changed = make_identity(spec=replace(SPEC, **{field: other}))
    assert changed.sha256 != make_identity().sha256
    assert f"detector.{field}" in (difference(changed.fields, make_identity().fields) or "")


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("split", "val"),
        ("view", "flip"),
        ("profile", "lite"),
        ("dtype", "float32"),
        ("dtype", "int8"),
        ("precision", "bfloat16"),
    ],
)
def test_every_property_of_the_store_changes_the_identity(field: str, other: str) -> None:
    changed = make_identity(**{field: other})
    assert changed.sha256 != make_identity().sha256
    field = {"precision": "autocast"}.get(field, field)  # on disk, as since the first stores
    other = {"bfloat16": "bf16"}.get(other, other)
    assert other in changed.folder_name
    assert (difference(changed.fields, make_identity().fields) or "").startswith(
        f'{field} is "{other}", expected "'
    )


def test_identities_stay_as_they_are_for_stores_made_before() -> None:
    assert [make_identity().sha256, make_identity(view="flip").sha256] == [
        "e6c8528010a430680dbc71dc0500ee37f5d0506e5441a3fd01afcef798c3e75f",
        "d0c2f0f872c0287a2eb66199b5e3a8d0a40b0aeb14a1fcb1fa3896ad5482a7bb",
    ]


def test_a_view_that_is_unknown_or_drawn_afresh_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no view 'zoom'; known: base, flip"):
        make_identity(view="zoom")
    with pytest.raises(StoreError, match=r"'ms' is another one at every look.* as in ms:0"):
        make_identity(view="ms")


def test_the_number_of_detections_kept_does_not_change_the_identity() -> None:
    assert make_identity(spec=replace(SPEC, max_detections=300)).sha256 == make_identity().sha256


def test_the_names_of_categories_do_not_change_the_identity() -> None:
    named = make_identity(spec=replace(SPEC, category_names=("disc", "ring", "hook")))
    assert named.sha256 == make_identity().sha256


def test_an_edited_image_changes_the_identity_and_is_named() -> None:
    identity = make_identity()
    images = list(identity.images)
    images[17] = replace(images[17], sha256="0" * 64)
    changed = replace(identity, images=tuple(images))
    assert changed.sha256 != identity.sha256
    message = image_difference(changed.images, identity.images) or ""
    assert message.startswith(f'images[17].sha256 ({images[17].file_name}) is "{"0" * 64}"')
    assert identity.images[17].sha256 in message


def test_a_longer_image_list_is_named_by_both_lengths() -> None:
    assert image_difference(make_identity(3).images, make_identity(5).images) == (
        "images.count is 3, expected 5"
    )


def test_the_folder_name_is_readable_and_ends_in_eight_digits_of_the_identity() -> None:
    identity = make_identity(spec=replace(SPEC, name="hf:PekingU/rtdetr_r50vd"), view="ms:3")
    expected = f"hf-PekingU-rtdetr-r50vd-train-ms-3-full-float16-{identity.sha256[:8]}"
    assert identity.folder_name == expected


def test_image_lists_that_are_empty_unsorted_or_repeat_an_id_are_refused() -> None:
    first, second = make_identity(2).images
    for images in ((), (second, first), (first, first)):
        with pytest.raises(StoreError, match="image"):
            StoreIdentity(SPEC, "train", images)


@pytest.mark.parametrize(
    "fields", [{"profile": "compact"}, {"dtype": "bfloat16"}, {"precision": "int8"}]
)
def test_unknown_profiles_and_element_types_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="expected one of"):
        make_identity(**fields)


def test_a_file_is_digested_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\r\n\xff" * 70001)
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"\0\r\n\xff" * 70001).hexdigest()
