"""Mask Frozen-DETR: instance masks for a frozen DETR, trained on cached features."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfd.api import MaskFrozenDETR as MaskFrozenDETR

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`mfd.MaskFrozenDETR`, imported when it is asked for: torch takes seconds."""
    if name == "MaskFrozenDETR":
        from mfd.api import MaskFrozenDETR

        return MaskFrozenDETR
    raise AttributeError(f"module 'mfd' has no attribute {name!r}")
