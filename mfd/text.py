"""Short texts for messages and tables."""

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable

MAX_NAMED = 5
"""Of many values, how many a line names."""

MAX_WORD = 300
"""Characters of a word that a terminal is shown."""

_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, surrogate, line and paragraph
_JOINERS = "\u200c\u200d"  # format characters that several scripts are written with

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxlist, _repr.maxstring, _repr.maxother = 3, 8, 80, 80


def suggest(name: str, known: Iterable[str]) -> str:
    """A question with the nearest known name if one is close, else the list of known names."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def some(values: Iterable[object]) -> str:
    """The first few values, and how many more there are."""
    shown = [str(value) for value in values]
    more = f" and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return ", ".join(shown[:MAX_NAMED]) + more


def first_line(error: BaseException) -> str:
    """The first line of another library's message that is not empty, or its error's name."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def short(value: object) -> str:
    """What a message shows of a value from a file, whatever its size or depth."""
    return printable(_repr.repr(value))


def abridged(text: str) -> str:
    """The text without the middle of words that fill lines, such as paths of 4,000 characters."""
    return re.sub(rf"\S{{{MAX_WORD + 1},}}", _ends, text)


def _ends(word: re.Match[str]) -> str:
    kept = MAX_WORD // 2
    return f"{word[0][:kept]}...{word[0][-kept:]}"


def size(num_bytes: float) -> str:
    """A number of bytes with a unit, three digits: `9.61 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 999.5:  # which three digits round up
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


def duration(seconds: float) -> str:
    """A time in the unit a reader would choose: `42 s`, `7 min`, `5.3 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def printable(text: str) -> str:
    """The text on one line, with escapes for what a terminal would obey or could not encode.

    Control characters, line breaks, changes of writing direction and lone surrogates become
    escapes such as `\\x1b` and `\\udcff`; letters of every script stay.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNSAFE and character not in _JOINERS
        else character
        for character in text
    )
