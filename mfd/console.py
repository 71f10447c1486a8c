"""What commands print: results to the standard output, everything else beside it."""

from rich.console import Console
from rich.markup import escape

out = Console()
# figures are not cut off: a file has no width, and a narrow terminal breaks lines itself
out.width = max(out.width, 80) if out.is_terminal else 200
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """One line for whoever watches, kept out of the results."""
    _err.print(escape(line))
