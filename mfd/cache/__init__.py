"""The store: detector outputs of a list of images on disk, written once and read many times."""

from mfd.cache.format.layout import UNIT
from mfd.cache.format.plan import planned_bytes
from mfd.cache.manage.listing import (
    TARGETS,
    add_reference,
    collect_garbage,
    find_store,
    list_stores,
    references,
    remove_store,
)
from mfd.cache.manage.verify import Damage, repair_store, verify_store
from mfd.cache.store.identity import StoreIdentity, StoreImage, difference
from mfd.cache.store.info import StoreInfo
from mfd.cache.store.reader import Store
from mfd.cache.store.writer import StoreWriter

__all__ = [
    "TARGETS",
    "UNIT",
    "Damage",
    "Store",
    "StoreIdentity",
    "StoreImage",
    "StoreInfo",
    "StoreWriter",
    "add_reference",
    "collect_garbage",
    "difference",
    "find_store",
    "list_stores",
    "planned_bytes",
    "references",
    "remove_store",
    "repair_store",
    "verify_store",
]
