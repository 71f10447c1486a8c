"""What makes two stores the same: everything that changes the numbers in them, and no more."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args, get_type_hints

from mfd.cache.format.plan import resized_sizes
from mfd.cache.format.profiles import C1, map_kinds
from mfd.cache.format.records import StoreImage
from mfd.config import Precision, Profile, StoredDtype
from mfd.detectors import DetectorSpec
from mfd.errors import StoreError
from mfd.files import canonical_json, json_sha256
from mfd.images import Placement, parse_view
from mfd.settings import from_json

SCHEMA = 1
_AUTOCAST: Mapping[Precision, str] = {"float32": "none", "bfloat16": "bf16", "float16": "fp16"}
"""What a precision is called on disk."""


@dataclass(frozen=True)
class StoreIdentity:
    """The inputs that determine a store's content.

    Annotations are not part of it, nor are chunk sizes and the codec, which change no value.

    Args:
        spec: of the detector; names of categories, and how many detections it keeps per image, do
            not count.
        split: what the image list is called, such as "train".
        view: which view of every image, such as "base" or "ms:0"; see `mfd.images.View`.
        profile: which maps are stored, see `cache.format.profiles`.
        dtype: element type of the maps, see `cache.format.encodings`, which also says that of
            queries and logits; boxes are float32 always.
        images: in ascending order of image id.
        precision: element type of the detector's matrix products.
    """

    spec: DetectorSpec
    split: str
    images: tuple[StoreImage, ...]
    view: str = "base"
    profile: Profile = "full"
    dtype: StoredDtype = "float16"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if not parse_view(self.view).repeatable:
            raise StoreError(
                f"the view {self.view!r} is another one at every look, and a store needs one that "
                f"stays; give a seed, as in {self.view}:0"
            )
        ids = [image.image_id for image in self.images]
        if not ids:
            raise StoreError("a store needs at least one image, found none; check the image list")
        if any(after <= before for before, after in pairwise(ids)):
            raise StoreError("a store's images must be in ascending order of unique image ids")
        for value, allowed in (
            (self.profile, Profile),
            (self.dtype, StoredDtype),
            (self.precision, Precision),
        ):
            if value not in get_args(allowed):
                raise StoreError(f"found {value!r}, expected one of {', '.join(get_args(allowed))}")

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What is hashed, as plain JSON values; the image list by its length and digest."""
        detector = self.spec.to_json()
        del detector["max_detections"], detector["category_names"]
        images = [[i.image_id, i.file_name, *i.original_hw, i.sha256] for i in self.images]
        fields = {
            "schema": SCHEMA,
            "detector": detector,
            "split": self.split,
            "view": self.view,
            "profile": self.profile,
            "dtype": self.dtype,
            "autocast": _AUTOCAST[self.precision],
            "images": {"count": len(images), "sha256": json_sha256(images)},
        }
        return json.loads(canonical_json(fields))

    @cached_property
    def sha256(self) -> str:
        """The identity in 64 hex digits."""
        return json_sha256(self.fields)

    @cached_property
    def placements(self) -> tuple[Placement, ...]:
        """Where each image lies in its view, drawn from view, seed and image id; none of `base`."""
        if self.view == "base":
            return ()
        view, preprocessing = parse_view(self.view), self.spec.preprocessing
        return tuple(view.draw(i.image_id, i.original_hw, preprocessing) for i in self.images)

    @property
    def input_hw(self) -> list[tuple[int, int]]:
        """Height and width of what the detector sees of each image; of `base` rounded up."""
        if self.view == "base":
            return resized_sizes(self.spec.preprocessing, self.images)
        return [placement.input_hw for placement in self.placements]

    @property
    def has_c1(self) -> bool:
        """Whether the stage-1 map is stored."""
        return C1 in map_kinds(self.spec, self.profile)

    @property
    def folder_name(self) -> str:
        """Readable, and eight digits of the identity: `demo-train-base-full-float16-1a2b3c4d`."""
        words = [self.spec.name, self.split, self.view, self.profile, self.dtype]
        words += [] if self.precision == "float32" else [_AUTOCAST[self.precision]]
        readable = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-") for word in words)
        return f"{readable}-{self.sha256[:8]}"


@dataclass(frozen=True)
class _ImageList:
    count: int
    sha256: str


@dataclass(frozen=True)
class _Fields:
    """Those of `StoreIdentity.fields` that are read from a store, besides the detector's."""

    split: str
    view: str
    profile: Profile
    dtype: StoredDtype
    autocast: Literal["none", "bf16", "fp16"]
    images: _ImageList


def check_fields(fields: Mapping[str, Any]) -> None:
    """Nothing, if a store's `fields` are such as `StoreIdentity` has.

    Raises:
        ConfigError: a value of another type.
        KeyError: a missing field.
        ValueError: no images.
    """
    read = from_json(_Fields, {name: fields[name] for name in get_type_hints(_Fields)})
    if read.images.count < 1:
        raise ValueError(f"a list of {read.images.count} images")


def precision_called(name: str) -> Precision:
    """The precision that a store calls `name`.

    Raises:
        KeyError: no precision is called so.
    """
    return {word: precision for precision, word in _AUTOCAST.items()}[name]


def difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """The first field in which two identities' `fields` differ, with both values; None if equal."""
    there, here = dict(_flatten(found)), dict(_flatten(expected))
    for field in {**here, **there}:
        if there.get(field, "nothing") != here.get(field, "nothing"):
            return (
                f"{field} is {_shown(there.get(field, 'nothing'))}, "
                f"expected {_shown(here.get(field, 'nothing'))}"
            )
    return None


def image_difference(found: Sequence[StoreImage], expected: Sequence[StoreImage]) -> str | None:
    """The first image in which two lists differ, with both values; None if they are equal."""
    if len(found) != len(expected):
        return f"images.count is {len(found)}, expected {len(expected)}"
    for position, (there, here) in enumerate(zip(found, expected, strict=True)):
        for field, value in vars(there).items():
            if value != (wanted := getattr(here, field)):
                return (
                    f"images[{position}].{field} ({here.file_name}) is {_shown(value)}, "
                    f"expected {_shown(wanted)}"
                )
    return None


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
