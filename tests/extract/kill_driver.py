"""Extractions killed by SIGKILL, many of them in one process that has imported all they need.

`python -m tests.extract.kill_driver FOLDER KILLS`: an uninterrupted store goes to
FOLDER/whole, killed and resumed ones to FOLDER/killed-0, FOLDER/killed-1, ... Prints, as JSON,
how many units were there after every kill.
"""

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from mfd.cache import StoreWriter
from mfd.coco import CocoDataset
from mfd.detectors import load_detector
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from tests.builders.tiny import make_dataset

IMAGES = 16 * 8 + 5
TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


def run(dataset: CocoDataset, root: Path) -> None:
    """What the command does, from its beginning."""
    torch.set_num_threads(1)
    detector = load_detector(f"{TINY}:detector")
    digests = image_digests(dataset, root)
    identity = store_identity(detector.spec, dataset, digests, split="val")
    with StoreWriter.open(root, identity) as writer:
        extract(detector, dataset, writer, ExtractConfig(workers=2))


def child(dataset: CocoDataset, root: Path) -> int:
    """The process id of a copy of this one that runs an extraction."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        run(dataset, root)
        status = 0
    finally:
        os._exit(status)


def units(root: Path) -> int:
    """How many units of the only store under `root` are finished.

    A folder that is still being built begins with a dot, and may get its name in this moment.
    """
    return len(list(root.glob("[!.]*/_units/[0-9]*.json")))


def ends_within(pid: int, root: Path, least: int, seconds: float) -> bool:
    """Whether the process comes to its own, successful end; if not, it is killed.

    It has that many seconds from the moment when `least` units are finished.
    """
    deadline = math.inf
    while time.monotonic() < deadline:
        if deadline == math.inf and units(root) >= least:
            deadline = time.monotonic() + seconds
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            assert status == 0, f"an extraction failed with status {status}"
            return True
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    dataset = make_dataset(folder / "images", IMAGES)
    generator = random.Random(0)
    started = time.monotonic()
    assert ends_within(child(dataset, folder / "whole"), folder / "whole", 0, math.inf)
    duration = time.monotonic() - started

    units_after_kill: list[int] = []
    stores = 0
    while True:
        root = folder / f"killed-{stores}"
        enough = len(units_after_kill) >= kills
        patience = math.inf if enough else generator.uniform(0, duration / 4)
        least = len(units_after_kill) * IMAGES // 16 // kills  # kills at every stage of a store
        if ends_within(child(dataset, root), root, 0 if enough else least, patience):
            stores += 1
            if enough:
                break
        else:
            units_after_kill.append(units(root))
    json.dump({"stores": stores, "units_after_kill": units_after_kill}, sys.stdout)


if __name__ == "__main__":
    main()
