"""The store: detector outputs of a list of images on disk, written once and read many times."""

from mfd.cache.identity import StoreIdentity as StoreIdentity
from mfd.cache.identity import StoreImage as StoreImage
from mfd.cache.identity import file_sha256 as file_sha256
from mfd.cache.listing import add_reference as add_reference
from mfd.cache.listing import collect_garbage as collect_garbage
from mfd.cache.listing import find_store as find_store
from mfd.cache.listing import list_stores as list_stores
from mfd.cache.listing import references as references
from mfd.cache.listing import remove_store as remove_store
from mfd.cache.reader import Store as Store
from mfd.cache.reader import StoreInfo as StoreInfo
from mfd.cache.verify import Damage as Damage
from mfd.cache.verify import repair_store as repair_store
from mfd.cache.verify import verify_store as verify_store
from mfd.cache.writer import StoreWriter as StoreWriter
from mfd.detector import ImageFeatures as ImageFeatures
