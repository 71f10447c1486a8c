"""One mistake in one file."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One mistake in one file.

    Attributes:
        name: unique.
        file: in the repository.
        tests: file or folder of the tests that must catch it: those beside the file.
        right: what stands in the file, wherever it occurs.
        wrong: what stands there by mistake.
    """

    name: str
    file: str
    tests: str
    right: str
    wrong: str


def faults(file: str, tests: str, *mistakes: tuple[str, str, str]) -> list[Fault]:
    """Faults of one file; `mistakes` are (name, right, wrong)."""
    return [Fault(name, file, tests, right, wrong) for name, right, wrong in mistakes]
