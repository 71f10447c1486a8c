"""What a store says of itself: the attributes of its zarr group."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zarr

from mfd.cache.durable import sync
from mfd.cache.identity import (
    SCHEMA,
    StoreIdentity,
    StoreImage,
    difference,
    image_difference,
    json_sha256,
)
from mfd.cache.index import read_images
from mfd.cache.layout import UNIT, ArrayLayout, Codec, Plan, data_arrays, index_arrays
from mfd.detector import DetectorSpec
from mfd.errors import StoreError

Status = Literal["unfinished", "complete"]


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
        try:
            attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r", zarr_format=3).attrs)
        except FileNotFoundError as error:
            raise StoreError(f"{path} is no feature store; give the folder extract made") from error
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(f"{path}/zarr.json is damaged ({error}); extract it again") from error
        if (schema := attributes.get("schema")) != SCHEMA:
            raise StoreError(
                f"{path} has schema {schema}, this mfd reads schema {SCHEMA}; extract it again"
            )
        status, checksum = attributes.pop("status", None), attributes.pop("checksum", None)
        if json_sha256(attributes) != checksum:
            raise StoreError(f"{path}/zarr.json is damaged (checksum differs); extract it again")
        return cls(
            fields=attributes["identity"],
            identity_sha256=attributes["identity_sha256"],
            spec=DetectorSpec.from_json(attributes["spec"]),
            codec=attributes["codec"],
            plan=Plan(**attributes["plan"]),
            provenance=attributes["provenance"],
            status="complete" if status == "complete" else "unfinished",
        )

    @property
    def num_images(self) -> int:
        """Length of the image list."""
        return self.fields["images"]["count"]

    @property
    def num_units(self) -> int:
        """How many units the finished store has."""
        return -(-self.num_images // UNIT)

    @property
    def data_arrays(self) -> tuple[ArrayLayout, ...]:
        """The arrays that units fill."""
        profile, dtype = self.fields["profile"], self.fields["dtype"]
        return data_arrays(self.spec, profile, dtype, self.num_images, self.plan)

    @property
    def index_arrays(self) -> tuple[ArrayLayout, ...]:
        """The arrays about all images."""
        return index_arrays(self.spec, self.num_images, self.plan)

    def identity(self, images: tuple[StoreImage, ...]) -> StoreIdentity:
        """The identity, once the image list has been read from the index arrays."""
        return StoreIdentity(
            spec=self.spec,
            split=self.fields["split"],
            images=images,
            view=self.fields["view"],
            profile=self.fields["profile"],
            dtype=self.fields["dtype"],
            autocast=self.fields["autocast"],
        )


def set_status(path: Path, status: Status) -> None:
    """Declare a store complete or unfinished, for certain once this returns."""
    group = zarr.open_group(path, mode="r+", zarr_format=3)
    if group.attrs["status"] != status:
        group.attrs["status"] = status
        sync(path / "zarr.json")
        sync(path)


def require_identity(path: Path, found: Manifest, expected: StoreIdentity) -> None:
    """Refuse a store of another identity.

    Raises:
        StoreError: naming the first field that differs, with both values.
    """
    if found.identity_sha256 == expected.sha256:
        return
    fields = difference(
        {**found.fields, "images": None}, {**expected.fields, "images": None}
    ) or image_difference(read_images(path), expected.images)
    raise StoreError(f"{path}: {fields}; use the matching settings or extract another store")
