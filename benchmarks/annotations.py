"""What reading a large annotation file costs: parsed, and remembered from the command before.

    python -m benchmarks.annotations [--objects 200000] [--folder FOLDER]

A made-up file like COCO's: 7.3 objects an image, 23 corners a polygon on average, one RLE in 86.
Each row is a process of its own: seconds of CPU time of reading and of checking, and by how much
they raised the most memory that the process ever had. COCO's training set has 860,001 objects.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_MEASURE = r"""
import re, sys, time
from pathlib import Path
from mfd.coco import check_consistency, read_dataset

def now():
    most = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]
    return time.process_time(), int(most) / 1024

folder = Path(sys.argv[1])
started, before = now()
dataset = read_dataset(folder / "a.json", folder, remembered_in=folder)
read, _ = now()
check_consistency(dataset)
checked, most = now()
print(f"{read - started:8.2f} {checked - read:8.2f} {most - before:8.0f}")
"""


def write(path: Path, objects: int) -> None:
    """The made-up file."""
    rng = np.random.default_rng(0)
    images = max(1, objects * 118287 // 860001)
    content = {
        "images": [
            {"id": i, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640, "license": 3}
            for i in range(1, images + 1)
        ],
        "annotations": list(_annotations(rng, objects, images)),
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, 81)],
    }
    path.write_text(json.dumps(content))


def _annotations(rng: np.random.Generator, objects: int, images: int) -> Iterator[dict[str, Any]]:
    for number in range(objects):
        x, y, width, height = rng.uniform((0, 0, 10, 10), (500, 350, 140, 130))
        if number % 86 == 85:
            runs = rng.multinomial(640 * 480 - 301, np.ones(301) / 301) + 1
            masks: Any = {"size": [480, 640], "counts": runs.tolist()}
        else:
            masks = []
            for _ in range(1 + (rng.random() < 0.12)):
                angles = np.sort(
                    rng.uniform(0, 2 * np.pi, int(np.clip(rng.lognormal(2.85, 0.75), 4, 300)))
                )
                circle = 0.5 + 0.5 * np.stack((np.cos(angles), np.sin(angles)), 1)
                masks.append(((x, y) + circle * (width, height)).round(2).ravel().tolist())
        yield {
            "id": number,
            "image_id": int(rng.integers(1, images + 1)),
            "category_id": int(rng.integers(1, 81)),
            "bbox": np.round((x, y, width, height), 2).tolist(),
            "area": round(width * height * np.pi / 4, 4),
            "iscrowd": number % 86 // 85,
            "segmentation": masks,
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where an earlier run wrote its file")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    if not (folder / "a.json").is_file():
        write(folder / "a.json", options.objects)
    for memory in folder.glob(".annotations-*"):
        memory.unlink()
    print(f"{options.objects} objects, {(folder / 'a.json').stat().st_size / 1e6:.0f} MB")
    print(f"{'':10} {'read':>8} {'check':>8} {'MiB':>8}")
    for name in ("parsed", "remembered"):
        found = subprocess.run(
            [sys.executable, "-c", _MEASURE, folder], capture_output=True, text=True, check=True
        )
        print(f"{name:10} {found.stdout.rstrip()}")


if __name__ == "__main__":
    main()
