"""A store without any unit, and whether there is room for all of them."""

import shutil
import uuid
from pathlib import Path

from mfd.cache.format.index import write_image_list
from mfd.cache.format.plan import planned_bytes
from mfd.cache.format.profiles import UNIT
from mfd.cache.store.identity import StoreIdentity
from mfd.cache.store.journal import Journal
from mfd.cache.store.manifest import Manifest, write_metadata
from mfd.errors import StoreError
from mfd.files import nearest_folder, sync
from mfd.text import size


def create(path: Path, identity: StoreIdentity, manifest: Manifest) -> None:
    """Make an empty store beside its place and move it there whole.

    Raises:
        OSError: as the file system does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex}")
    try:
        write_metadata(building, manifest)
        write_image_list(building, manifest.index_arrays, identity.images, identity.placements)
        for file in (building, *building.rglob("*")):
            sync(file)
        building.rename(path)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        if not path.exists():  # else another process was faster and made the same
            raise
    sync(path.parent)


def require_room(path: Path, identity: StoreIdentity) -> None:
    """Nothing, if the disk holds what is missing of a store.

    Raises:
        StoreError: it does not.
        DiskError: where the folder of stores should be is something else.
    """
    spec, images = identity.spec, identity.images
    planned = planned_bytes(spec, identity.profile, identity.dtype, identity.input_hw)
    done = len(Journal(path).committed()) * UNIT / len(images)
    needed = planned * max(0.0, 1 - done)
    existing = nearest_folder(path.parent)
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise StoreError(
            f"{path} needs about {size(needed)} more, {existing} has {size(free)} "
            "free; make room, or choose other --stores, --dtype int8 or --profile lite"
        )
