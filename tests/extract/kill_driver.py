"""Extractions killed by SIGKILL, many of them in one process that has imported all they need.

`python -m tests.extract.kill_driver FOLDER KILLS`: the store of an uninterrupted process goes to
FOLDER/whole, others to FOLDER/killed-0, FOLDER/killed-1, ...: each time 1 to 4 processes fill one
together until all are killed, and the next time another number of them. Prints, as JSON, how many
units were there after every kill, and how many processes it killed.
"""

import json
import math
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from mfd.cache import StoreWriter
from mfd.coco import CocoDataset
from mfd.detectors import load_detector
from mfd.extract import ExtractConfig, Part, extract, image_digests, store_identity
from tests.builders.tiny import make_dataset

IMAGES = 16 * 4 * 4 + 21
UNITS = 18
TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


def run(dataset: CocoDataset, root: Path, part: Part) -> None:
    """What the command does, from its beginning."""
    torch.set_num_threads(1)
    detector = load_detector(f"{TINY}:detector")
    digests = image_digests(dataset, root)
    identity = store_identity(detector.spec, dataset, digests, split="val")
    with StoreWriter.open(root, identity, part=part.number) as writer:
        extract(detector, dataset, writer, ExtractConfig(workers=2), part=part)


def children(dataset: CocoDataset, root: Path, count: int = 1) -> list[int]:
    """The ids of so many copies of this process, each of which runs a part of an extraction."""
    found = []
    for number in range(1, count + 1):
        if pid := os.fork():
            found.append(pid)
            continue
        status = 1
        try:
            run(dataset, root, Part(number, count))
            status = 0
        except Exception:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)
    return found


def units(root: Path) -> int:
    """How many units of the only store under `root` are finished.

    A folder that is still being built begins with a dot, and may get its name in this moment.
    """
    return len(list(root.glob("[!.]*/_units/[0-9]*.json")))


def killed_after(pids: Sequence[int], root: Path, least: int, seconds: float) -> int:
    """How many of the processes did not come to their own, successful end, and were killed.

    They have that many seconds from the moment when `least` units are finished.
    """
    deadline, running = math.inf, set(pids)
    while running and time.monotonic() < deadline:
        if deadline == math.inf and units(root) >= least:
            deadline = time.monotonic() + seconds
        for pid in list(running):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                assert status == 0, f"an extraction failed with status {status}"
                running.discard(pid)
        time.sleep(0.002)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    for pid in running:
        os.waitpid(pid, 0)
    return len(running)


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    dataset = make_dataset(folder / "images", IMAGES)
    generator = random.Random(0)
    started = time.monotonic()
    whole = folder / "whole"
    assert not killed_after(children(dataset, whole), whole, 0, math.inf)
    duration = time.monotonic() - started

    units_after_kill: list[int] = []
    killed: list[int] = []
    stores = 0
    while True:
        root = folder / f"killed-{stores}"
        enough = len(units_after_kill) >= kills
        ends = enough or (units(root) == UNITS and generator.random() < 0.5)
        patience = math.inf if ends else generator.uniform(0, duration / 8)
        least = min(units(root) + generator.randint(0, 2), UNITS)  # kills at every stage of a store
        pids = children(dataset, root, generator.randint(1, 4))
        if count := killed_after(pids, root, least, patience):
            units_after_kill.append(units(root))
            killed.append(count)
        else:
            stores += 1
            if enough:
                break
    json.dump(
        {"stores": stores, "units_after_kill": units_after_kill, "killed": killed}, sys.stdout
    )


if __name__ == "__main__":
    main()
