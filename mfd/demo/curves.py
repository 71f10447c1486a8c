"""A picture of a run's losses, drawn by matplotlib (the extra `plots`)."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

_LOSSES = {"loss_bce": "cross-entropy", "loss_dice": "dice", "loss_iou": "IoU estimate"}
_WINDOW = 5


def draw_losses(metrics: Path, picture: Path) -> bool:
    """Draw each loss over the epochs, averaged over five records.

    Args:
        metrics: a run's `metrics.jsonl`.
        picture: where the PNG goes.

    Returns:
        Whether it was drawn: matplotlib may not be installed.
    """
    if not find_spec("matplotlib"):
        return False
    from matplotlib.figure import Figure

    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    epochs = [record["epoch"] for record in records]
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axes = figure.add_subplot(title="Losses of the mask head", xlabel="epoch")
    for name, label in _LOSSES.items():
        axes.plot(epochs, smoothed([record[name] for record in records], _WINDOW), label=label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=200)
    return True


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Each value replaced by the mean of up to `window` values that end with it."""
    return [float(np.mean(values[max(0, end - window) : end])) for end in range(1, len(values) + 1)]
