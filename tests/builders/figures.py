"""Figures of an evaluation as a command or a run's folder has them."""

import json
from typing import Any


def untimed(text: str) -> dict[str, Any]:
    """The figures without the seconds that they took, which differ from run to run."""
    figures: dict[str, Any] = json.loads(text)
    for timed in (figures, *figures["rows"]):
        del timed["seconds"]
    return figures
