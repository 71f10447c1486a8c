"""The commands of `mfd`, one file per verb; `options.py` makes flags of their settings."""

from mfd.commands.options import Command, as_callback

__all__ = ["Command", "as_callback"]
