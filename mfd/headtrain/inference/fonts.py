"""Fonts for labels: one that has every letter, or escapes for the letters that none has."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import cast

from PIL import ImageFont

from mfd.text import printable

Font = ImageFont.FreeTypeFont

_FOLDERS = (
    "~/.fonts",
    "~/.local/share/fonts",
    "~/Library/Fonts",
    "/usr/local/share/fonts",
    "/usr/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
_MAX_FONTS = 500  # opened in search of a letter
_PROBE_SIZE = 20  # pixels at which letters are looked for


def readable(text: str, size: int) -> tuple[str, Font]:
    """The text in one line and a font for it, `size` pixels high.

    Pillow's own font is taken where it has every letter, else the first font of the system that
    has. Where none has, letters that Pillow's font lacks become escapes such as `\\u732b`.
    """
    text = printable(text)
    own = _own_font(_PROBE_SIZE)
    missing = "".join(sorted({c for c in text if not _has(own, c)}))
    if not missing:
        return text, _own_font(size)
    if (path := _font_with("".join(sorted(set(text))), system_fonts())) is not None:
        return text, ImageFont.truetype(path, size)
    escaped = (c.encode("unicode_escape").decode("ascii") if c in missing else c for c in text)
    return "".join(escaped), _own_font(size)


def _own_font(size: int) -> Font:
    return cast(Font, ImageFont.load_default(size=size))  # a bitmap font without a size only


@cache
def _font_with(letters: str, files: tuple[str, ...]) -> str | None:
    """The first of the font files with all these letters."""
    for path in files:
        try:
            font = ImageFont.truetype(path, _PROBE_SIZE)
            if all(_has(font, letter) for letter in letters):
                return path
        except (OSError, ValueError):  # not a font, or one of fixed sizes
            continue
    return None


@cache
def system_fonts() -> tuple[str, ...]:
    """Font files of this system, plain and sans-serif ones first."""
    folders = (Path(os.path.expanduser(folder)) for folder in _FOLDERS)  # ~ stays without a home
    files = [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.suffix.lower() in (".ttf", ".otf", ".ttc")
    ]
    return tuple(str(file) for file in sorted(files, key=_fanciness)[:_MAX_FONTS])


def _fanciness(file: Path) -> tuple[int, str]:
    name = file.stem.lower()
    styles = ("bold", "italic", "oblique", "mono", "condensed", "light", "serif", "math")
    return sum(style in name for style in styles) + ("sans" not in name), file.name


def _has(font: Font, letter: str) -> bool:
    """Whether the font has the letter, and not just the box that stands for missing ones."""
    if letter.isspace():
        return True
    return bytes(font.getmask(letter)) != bytes(font.getmask(chr(sys.maxunicode)))
