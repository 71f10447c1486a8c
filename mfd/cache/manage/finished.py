"""The store of an identity, where nothing is left to do to it."""

from pathlib import Path

from mfd.cache.store.identity import StoreIdentity
from mfd.cache.store.manifest import Manifest, require_identity
from mfd.cache.store.reader import Store
from mfd.config import Codec


def finished_store(root: Path, identity: StoreIdentity, codec: Codec) -> Store | None:
    """The store of this identity under `root` if nothing is left to do to it, also a read-only one.

    None if it is absent, unfinished, of another codec, or leaves images out.

    Raises:
        StoreError: another identity's store has its name, or it is damaged.
    """
    path = root / identity.folder_name
    if not path.exists():
        return None
    manifest = Manifest.read(path)
    require_identity(path, manifest, identity)
    if manifest.status != "complete" or manifest.codec != codec:
        return None
    store = Store.open(path)
    return None if store.invalid else store
