"""What a store says of itself: the attributes of its zarr group, and a copy of them."""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import zarr

from mfd.cache.format.arrays import REPAIR, create_arrays
from mfd.cache.format.index import read_images
from mfd.cache.format.layout import ArrayLayout, data_arrays, index_arrays
from mfd.cache.format.plan import Plan
from mfd.cache.format.profiles import UNIT
from mfd.cache.format.records import StoreImage
from mfd.cache.store.identity import (
    SCHEMA,
    StoreIdentity,
    check_fields,
    difference,
    image_difference,
    precision_called,
)
from mfd.config import Codec, Profile
from mfd.detectors import DetectorSpec
from mfd.errors import StoreError
from mfd.files import canonical_json, json_sha256, write_atomically
from mfd.text import first_line, short, size

Status = Literal["unfinished", "complete"]
GROUP = "zarr.json"
COPY = "_units/manifest.json"
MAX_FILE_BYTES = 2**34  # of the elements of a file; the largest known have 2**28
_START_AGAIN = "remove the store by `mfd cache rm` and extract it again"


@dataclass(frozen=True)
class Manifest:
    """The attributes, checked.

    Args:
        fields: those of the store's identity.
        identity_sha256: the identity in 64 hex digits.
        spec: of the detector.
        provenance: how the store was made; takes no part in anything.
    """

    fields: Mapping[str, Any]
    identity_sha256: str
    spec: DetectorSpec
    codec: Codec
    plan: Plan
    provenance: Mapping[str, str]
    status: Status = "unfinished"

    @classmethod
    def of(
        cls, identity: StoreIdentity, codec: Codec, plan: Plan, provenance: Mapping[str, str]
    ) -> "Manifest":
        """The manifest of a new store."""
        return cls(identity.fields, identity.sha256, identity.spec, codec, plan, dict(provenance))

    def to_attributes(self) -> dict[str, Any]:
        """Plain JSON values, with a checksum over all of them but the status."""
        attributes = {
            "schema": SCHEMA,
            "identity": dict(self.fields),
            "identity_sha256": self.identity_sha256,
            "spec": self.spec.to_json(),
            "codec": self.codec,
            "plan": self.plan.to_json(),
            "provenance": dict(self.provenance),
            "level_order": "enc/tokens joins the levels finest first, each row by row",
        }
        return {**attributes, "checksum": json_sha256(attributes), "status": self.status}

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """The manifest of the store at `path`.

        Raises:
            StoreError: if there is no store, one of another schema, or a damaged one.
        """
        metadata = path / GROUP
        has_copy = (path / COPY).exists()
        cure = REPAIR if has_copy else _START_AGAIN
        try:
            attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r", zarr_format=3).attrs)
        except FileNotFoundError as error:
            if has_copy:
                raise StoreError(f"{metadata} is missing; {cure}") from error
            raise StoreError(
                f"{path} is not a feature store; give the folder that `mfd extract` made"
            ) from error
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(f"{metadata} is damaged ({error}); {cure}") from error
        return cls._checked(attributes, metadata, cure)

    @classmethod
    def read_copy(cls, path: Path) -> "Manifest":
        """The manifest from the copy that is made with the store, as of an unfinished store.

        Raises:
            StoreError: if there is none, or it is damaged too.
        """
        copy = path / COPY
        try:
            attributes: dict[str, Any] = json.loads(copy.read_text())
        except (ValueError, OSError) as error:
            raise StoreError(
                f"{path}/zarr.json is damaged, and so is {copy} ({error}); {_START_AGAIN}"
            ) from error
        return cls._checked(attributes, copy, _START_AGAIN)

    @classmethod
    def _checked(cls, attributes: dict[str, Any], file: Path, cure: str) -> "Manifest":
        if (schema := attributes.get("schema")) != SCHEMA:
            raise StoreError(
                f"{file} has schema {short(schema)}, this mfd reads schema {SCHEMA}; {_START_AGAIN}"
            )
        status, checksum = attributes.pop("status", None), attributes.pop("checksum", None)
        if json_sha256(attributes) != checksum:
            raise StoreError(f"{file} is damaged (checksum differs); {cure}")
        if status not in get_args(Status):
            raise StoreError(f"{file} is damaged (its status is {status!r}); {cure}")
        try:
            fields = dict(attributes["identity"])
            check_fields(fields)
            manifest = cls(
                fields=fields,
                identity_sha256=attributes["identity_sha256"],
                spec=DetectorSpec.from_json(attributes["spec"]),
                codec=_known(attributes["codec"]),
                plan=Plan.from_json(attributes["plan"]),
                provenance=dict(attributes["provenance"]),
                status=status,
            )
            _require_sane_sizes((*manifest.data_arrays, *manifest.index_arrays))
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise StoreError(
                f"{file} has an unknown or missing field ({first_line(error)}), so another mfd "
                "wrote it; use that one, or extract the store again"
            ) from error
        return manifest

    @property
    def num_images(self) -> int:
        """Length of the image list."""
        return self.fields["images"]["count"]

    @property
    def num_units(self) -> int:
        """How many units the finished store has."""
        return -(-self.num_images // UNIT)

    @property
    def profile(self) -> Profile:
        """Which maps are stored."""
        return self.fields["profile"]

    @property
    def data_arrays(self) -> tuple[ArrayLayout, ...]:
        """The arrays that units fill."""
        return data_arrays(
            self.spec, self.profile, self.fields["dtype"], self.num_images, self.plan
        )

    @property
    def index_arrays(self) -> tuple[ArrayLayout, ...]:
        """The arrays about all images."""
        return index_arrays(self.spec, self.num_images, self.plan, self.fields["view"])

    def identity(self, images: tuple[StoreImage, ...]) -> StoreIdentity:
        """The identity, once the image list has been read from the index arrays."""
        return StoreIdentity(
            spec=self.spec,
            split=self.fields["split"],
            images=images,
            view=self.fields["view"],
            profile=self.fields["profile"],
            dtype=self.fields["dtype"],
            precision=precision_called(self.fields["autocast"]),
        )


def _require_sane_sizes(arrays: Sequence[ArrayLayout]) -> None:
    """Refuse files of which a part alone would fill any memory."""
    for array in arrays:
        if array.file_bytes > MAX_FILE_BYTES:
            raise ValueError(f"{array.name} in files of {size(array.file_bytes)}")


def _known(codec: Any) -> Codec:
    if codec not in get_args(Codec):
        raise ValueError(f"codec {codec!r}")
    return codec


def is_sound_copy(content: bytes) -> bool:
    """Whether the copy of a manifest is as it was written, of whatever store."""
    try:
        attributes = json.loads(content)
        checksum = attributes.pop("checksum")
        attributes.pop("status", None)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    return json_sha256(attributes) == checksum


def write_metadata(path: Path, manifest: Manifest) -> None:
    """Make the folder of an unfinished store that has no data yet."""
    attributes = replace(manifest, status="unfinished").to_attributes()
    group = zarr.create_group(path, attributes=attributes)
    create_arrays(group, (*manifest.data_arrays, *manifest.index_arrays), manifest.codec)
    (path / COPY).write_text(canonical_json(attributes))


def restore_metadata(path: Path, manifest: Manifest) -> None:
    """Rewrite all metadata of a store and declare it unfinished; data stays."""
    building = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    try:
        write_metadata(building, manifest)
        for metadata in (building / COPY, *sorted(building.rglob("zarr.json"))):
            restored = path / metadata.relative_to(building)
            restored.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(restored, metadata.read_bytes())
    finally:
        shutil.rmtree(building, ignore_errors=True)


def set_status(path: Path, status: Status) -> None:
    """Declare a store complete or unfinished, for certain once this returns."""
    file = path / GROUP
    metadata = json.loads(file.read_text())
    if metadata["attributes"]["status"] != status:
        metadata["attributes"]["status"] = status
        write_atomically(file, json.dumps(metadata, indent=2).encode())


def require_identity(path: Path, found: Manifest, expected: StoreIdentity) -> None:
    """Refuse a store of another identity.

    Raises:
        StoreError: naming the first field that differs, with both values.
    """
    if found.identity_sha256 == expected.sha256:
        return
    fields = difference(
        {**found.fields, "images": None}, {**expected.fields, "images": None}
    ) or image_difference(read_images(path, found.index_arrays), expected.images)
    raise StoreError(f"{path}: {fields}; use the matching settings or extract another store")
