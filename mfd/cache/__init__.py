"""The store: detector outputs of a list of images on disk, written once and read many times."""

from mfd.cache.format.encode import encode_features
from mfd.cache.format.encodings import decode_maps
from mfd.cache.format.plan import planned_bytes
from mfd.cache.format.profiles import UNIT
from mfd.cache.format.records import StoreImage
from mfd.cache.manage.derived import add_reference, derived_dir, references
from mfd.cache.manage.list import find_store, list_stores
from mfd.cache.manage.remove import collect_garbage, remove_store
from mfd.cache.manage.verify import Damage, repair_store, verify_store
from mfd.cache.store.identity import StoreIdentity, difference
from mfd.cache.store.info import StoreInfo
from mfd.cache.store.reader import Store
from mfd.cache.store.writer import StoreWriter

__all__ = [
    "UNIT",
    "Damage",
    "Store",
    "StoreIdentity",
    "StoreImage",
    "StoreInfo",
    "StoreWriter",
    "add_reference",
    "collect_garbage",
    "decode_maps",
    "derived_dir",
    "difference",
    "encode_features",
    "find_store",
    "list_stores",
    "planned_bytes",
    "references",
    "remove_store",
    "repair_store",
    "verify_store",
]
