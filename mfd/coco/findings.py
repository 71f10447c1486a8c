"""What is wrong with a data set, counted by kind, the first few named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mfd.errors import DataError
from mfd.text import MAX_NAMED

MIN_SHARE = 0.01
"""Share of all records below which a kind is the noise of a sound data set, as COCO has it."""


class RecordError(DataError):
    """One record that cannot be used; `kind` says what is wrong with it in words that others
    with the same fault share."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        kind: what is wrong, a noun phrase such as "boxes written as corners".
        count: records that have it.
        total: records that were looked at for it.
        examples: the first few of them.
        certain: that nothing useful can come of the data as they are; else only likely.
        advice: which export makes such files, and what to do.
    """

    kind: str
    count: int
    total: int
    examples: tuple[str, ...]
    certain: bool = False
    advice: str = ""

    @property
    def notable(self) -> bool:
        """Whether it is more than the noise of a sound data set."""
        return self.certain or self.count >= MIN_SHARE * self.total

    def __str__(self) -> str:
        named = ", ".join(self.examples)
        more = ", ..." if self.count > len(self.examples) else ""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.kind}: {self.count} of {self.total} ({named}{more}){advice}"


def by_kind(faults: Sequence[tuple[str, str]], total: int) -> list[Finding]:
    """Pairs of kind and text as findings, the most frequent first.

    Args:
        total: records looked at, the sound ones among them.
    """
    texts: dict[str, list[str]] = {}
    for kind, text in faults:
        texts.setdefault(kind, []).append(text)
    found = [
        Finding(k, len(t), total, tuple(t[:MAX_NAMED]), certain=True) for k, t in texts.items()
    ]
    return sorted(found, key=lambda finding: -finding.count)


def summary(findings: Iterable[Finding]) -> str:
    """All of them in one line."""
    return "; ".join(map(str, findings))
