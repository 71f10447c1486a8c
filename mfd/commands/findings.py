"""What commands say of a data set before they work on it."""

from collections.abc import Iterable

from mfd.coco import Finding
from mfd.console import say


def say_notable(findings: Iterable[Finding]) -> None:
    """A line for each kind of fault that is more than the noise of a sound data set."""
    for finding in findings:
        if finding.notable:
            say(f"note: {finding}")
