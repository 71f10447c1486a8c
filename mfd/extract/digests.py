"""The sha256 of every image file, remembered between runs: an edited image is another store."""

import hashlib
import json
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from mfd.coco import CocoDataset
from mfd.files import disk_errors, file_sha256, json_sha256, write_if_ours
from mfd.prefetch import prefetch
from mfd.progress import progress

ABSENT = "0" * 64  # what stands for a file that cannot be read

Entry = tuple[list[int], str]  # size and time of change; sha256


def image_digests(dataset: CocoDataset, remembered_in: Path, workers: int = 4) -> list[str]:
    """The sha256 in hex of each image of the data set, in its order; `ABSENT` without a file.

    A file is read again only if its size or its time of change is not what it was.

    Args:
        remembered_in: a folder, for one small file per image folder.
        workers: threads that read.
    """
    folder = hashlib.sha256(str(dataset.images_dir.resolve()).encode()).hexdigest()[:12]
    memory = remembered_in / f".digests-{folder}.json"
    known = _read(memory)

    def digest(file_name: str) -> Entry:
        path = dataset.images_dir / file_name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
                return [], ABSENT
            state = [status.st_size, status.st_mtime_ns]
            before = known.get(file_name)
            return state, before[1] if before and before[0] == state else file_sha256(path)
        except OSError:
            return [], ABSENT

    names = [image.file_name for image in dataset.images]
    found: list[Entry] = []
    try:
        with (
            progress("hash images", len(names)) as advance,
            closing(prefetch(digest, names, workers, ahead=4 * workers)) as entries,
        ):
            for entry in entries:
                found.append(entry)
                advance()
    finally:  # what was hashed before Ctrl-C need not be hashed again
        now = dict(zip(names, found, strict=False))
        _remember(memory, known, {name: e for name, e in now.items() if e[1] != ABSENT})
    return [sha256 for _, sha256 in found]


def _remember(memory: Path, known: Mapping[str, Entry], now: Mapping[str, Entry]) -> None:
    """Write what is new unless it is not ours to write: a shared folder is hashed again."""
    if all(known.get(name) == entry for name, entry in now.items()):
        return
    files = {**known, **now}
    content = {"sha256": json_sha256(files), "files": files}
    with disk_errors(memory, "rerun the command"):
        write_if_ours(memory, json.dumps(content).encode())


def _read(path: Path) -> dict[str, Entry]:
    """What was remembered; nothing where the file is absent or damaged."""
    try:
        content = json.loads(path.read_text())
        files = content["files"]
        if json_sha256(files) != content["sha256"]:  # one wrong digit would make another store
            return {}
        return {name: (state, sha256) for name, (state, sha256) in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
