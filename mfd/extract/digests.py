"""The sha256 of every image file, remembered between runs: an edited image is another store."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mfd.coco import CocoDataset
from mfd.files import file_sha256

ABSENT = "0" * 64  # what stands for a file that cannot be read


def image_digests(
    dataset: CocoDataset,
    remembered_in: Path,
    workers: int = 4,
    advance: Callable[[], object] = lambda: None,
) -> list[str]:
    """The sha256 in hex of each image of the data set, in its order; `ABSENT` without a file.

    A file is read again only if its size or its time of change is not what it was.

    Args:
        remembered_in: a folder, for one small file per image folder.
        advance: called after each image.
    """
    name = hashlib.sha256(str(dataset.images_dir.resolve()).encode()).hexdigest()[:12]
    memory = remembered_in / f".digests-{name}.json"
    known = _read(memory)

    def digest(file_name: str) -> tuple[list[int], str]:
        path = dataset.images_dir / file_name
        try:
            status = path.stat()
            state = [status.st_size, status.st_mtime_ns]
            before = known.get(file_name)
            return state, before[1] if before and before[0] == state else file_sha256(path)
        except OSError:
            return [], ABSENT
        finally:
            advance()

    with ThreadPoolExecutor(workers) as executor:
        found = list(executor.map(digest, (image.file_name for image in dataset.images)))
    now = {
        image.file_name: (state, sha256)
        for image, (state, sha256) in zip(dataset.images, found, strict=True)
        if sha256 != ABSENT
    }
    if any(known.get(name) != entry for name, entry in now.items()):
        _write(memory, {**known, **now})
    return [sha256 for _, sha256 in found]


def _read(path: Path) -> dict[str, tuple[list[int], str]]:
    """What was remembered; nothing where the file is absent or was cut off by a power failure."""
    try:
        return {
            name: (state, sha256) for name, (state, sha256) in json.loads(path.read_text()).items()
        }
    except (FileNotFoundError, ValueError):
        return {}


def _write(path: Path, entries: dict[str, tuple[list[int], str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    with os.fdopen(descriptor, "w") as file:
        json.dump(entries, file)
    os.replace(temporary, path)
