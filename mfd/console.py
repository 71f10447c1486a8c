"""What commands print: results to the standard output, everything else beside it."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mfd.distributed import launched
from mfd.text import abridged, printable

out = Console()
# figures are not cut off: a file has no width, and a narrow terminal breaks lines itself
out.width = max(out.width, 80) if out.is_terminal else 200
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """Something for whoever watches, kept out of the results; of several processes, one speaks."""
    if launched()[0] == 0:
        _err.print(_shown(text))


def say_error(text: str) -> None:
    """Why the command fails, and on which rank if it is one of several processes."""
    rank, size = launched()
    _err.print(_shown(f"error: {text}" if size == 1 else f"rank {rank}: error: {text}"))


def print_text(text: str) -> None:
    """A result in words; the terminal breaks its lines."""
    out.print(_shown(text), soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """A result for machines, never wrapped or styled."""
    print(json.dumps(value, indent=1, default=str))  # noqa: T201


def print_path(path: Path) -> None:
    """A written file, for pipes; what the terminal's encoding lacks is escaped."""
    encoding = out.encoding or "utf-8"
    print(str(path).encode(encoding, "backslashreplace").decode(encoding))  # noqa: T201


def _shown(text: str) -> str:
    """The text as rich prints it, line by line without what a terminal would obey or fill up."""
    return escape(abridged("\n".join(map(printable, text.split("\n")))))
