"""A store in a few words, finished or not."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mfd.cache.store.journal import Journal
from mfd.cache.store.manifest import Manifest
from mfd.config import Codec, Profile, StoredDtype
from mfd.detectors import DetectorSpec
from mfd.errors import StoreError


@dataclass(frozen=True)
class StoreInfo:
    """A store in a few words, finished or not.

    Args:
        codec: "none", "zstd" or "blosc".
        num_images: length of the image list.
        num_units: of 16 images; all of them committed in a complete store.
        seconds: that extraction took, over all its runs; None if no sound record says it.
        identity_sha256: 64 hex digits; the folder's name has the first eight.
        provenance: texts kept when the store was made.
    """

    path: Path
    spec: DetectorSpec
    split: str
    view: str
    profile: Profile
    dtype: StoredDtype
    codec: Codec
    num_images: int
    num_units: int
    committed_units: int
    seconds: float | None
    complete: bool
    identity_sha256: str
    provenance: Mapping[str, str]

    @cached_property
    def num_bytes(self) -> int:
        """Of all files; those that a writer renames or removes meanwhile are left out."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).stat().st_size
        return total

    @classmethod
    def read(cls, path: Path) -> "StoreInfo":
        """What the store at `path` is; works for unfinished ones.

        Raises:
            StoreError: if there is no store of this schema.
        """
        manifest = Manifest.read(path)
        return cls(
            path=path,
            spec=manifest.spec,
            split=manifest.fields["split"],
            view=manifest.fields["view"],
            profile=manifest.fields["profile"],
            dtype=manifest.fields["dtype"],
            codec=manifest.codec,
            num_images=manifest.num_images,
            num_units=manifest.num_units,
            committed_units=len(Journal(path).committed()),
            seconds=_seconds(path),
            complete=manifest.status == "complete",
            identity_sha256=manifest.identity_sha256,
            provenance=manifest.provenance,
        )


def _seconds(path: Path) -> float | None:
    try:
        return Journal(path).read_seconds()
    except StoreError:  # it is a note about the store; `verify` names the damage
        return None
