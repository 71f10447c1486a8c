"""Pictures of balloons, a class that the `demo` detector does not know, as a COCO folder.

From pictures to masks, in an empty folder:

    python path/to/examples/balloons.py data
    mfd extract --data data --detector demo && mfd extract --data data --detector demo --split val
    mfd train-head --data data --detector demo --set class_agnostic=true --set roi_size=16
    mfd evaluate --data data
"""

import sys
from pathlib import Path

import numpy as np
from numpy.random import Generator

from mfd.demo import Outline, SceneConfig, generate


def balloon(rng: Generator) -> Outline:
    """A round body and a waving tail, in the unit disc."""
    radius, gap = rng.uniform(0.5, 0.6), rng.uniform(0.12, 0.2)
    angles = np.linspace(np.pi / 2 + gap, 2.5 * np.pi - gap, 60)
    body = np.stack([np.cos(angles), np.sin(angles)], 1) * [rng.uniform(0.8, 1) * radius, radius]
    body += [0, radius - 0.97]
    start = body[-1, 1]
    y = np.linspace(start, 0.97, 24)
    wave = 0.1 * np.sin((y - start) * rng.uniform(6, 10)) * (y - start)
    half = np.linspace(body[-1, 0], 0.05, len(y))
    right, left = np.stack([wave + half, y], 1), np.stack([wave - half, y], 1)
    return Outline(np.concatenate([body, right[1:], left[:0:-1]]))


def write(folder: Path, num_train: int = 120, num_val: int = 60, seed: int = 0) -> None:
    """COCO's layout in `folder`, with annotations of its one class."""
    config = SceneConfig(categories={1: ("balloon", balloon)})
    generate(folder, num_train, num_val, seed, config)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
