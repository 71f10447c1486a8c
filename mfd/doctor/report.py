"""The lines of a report, and whether all is well."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mfd.errors import MfdError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Line:
    """One line of a report, and whether all is well."""

    text: str
    good: bool = True


class Report(list[Line]):
    """Lines in the order they are said."""

    def say(self, text: str, *, good: bool = True) -> None:
        """Add a line."""
        self.append(Line(text, good))

    def attempt(
        self, check: Callable[..., Result], *arguments: Any, **options: Any
    ) -> Result | None:
        """What the check returns; None and its error as a line if it raises one."""
        try:
            return check(*arguments, **options)
        except MfdError as error:
            self.say(str(error), good=False)
            return None
