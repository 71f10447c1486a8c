"""The commands of `mfd`, one file per verb."""

from mfd.commands.cache import AsJson, Stores, cache
from mfd.commands.tables import size_table

__all__ = ["AsJson", "Stores", "cache", "size_table"]
