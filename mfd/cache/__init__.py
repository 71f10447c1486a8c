"""The store: detector outputs of a list of images on disk, written once and read many times."""

from mfd.cache.identity import StoreIdentity, StoreImage, file_sha256
from mfd.cache.info import StoreInfo
from mfd.cache.listing import (
    add_reference,
    collect_garbage,
    find_store,
    list_stores,
    references,
    remove_store,
)
from mfd.cache.reader import Store
from mfd.cache.verify import Damage, repair_store, verify_store
from mfd.cache.writer import StoreWriter
from mfd.detector import ImageFeatures

__all__ = [
    "Damage",
    "ImageFeatures",
    "Store",
    "StoreIdentity",
    "StoreImage",
    "StoreInfo",
    "StoreWriter",
    "add_reference",
    "collect_garbage",
    "file_sha256",
    "find_store",
    "list_stores",
    "references",
    "remove_store",
    "repair_store",
    "verify_store",
]
