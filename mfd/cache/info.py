"""A store in a few words, finished or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mfd.cache.identity import Profile, StoredDtype
from mfd.cache.journal import Journal
from mfd.cache.layout import Codec
from mfd.cache.manifest import Manifest
from mfd.detector import DetectorSpec


@dataclass(frozen=True)
class StoreInfo:
    """A store in a few words, finished or not.

    Args:
        codec: "none", "zstd" or "blosc".
        num_images: length of the image list.
        num_units: of 16 images; all of them committed in a complete store.
        num_bytes: of all files.
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
    num_bytes: int
    complete: bool
    identity_sha256: str
    provenance: Mapping[str, str]

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
            num_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            complete=manifest.status == "complete",
            identity_sha256=manifest.identity_sha256,
            provenance=manifest.provenance,
        )
