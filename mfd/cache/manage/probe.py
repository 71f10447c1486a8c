"""How fast a disk is, measured on a file without a name: it ends with the process."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import numpy as np

from mfd.errors import DiskError
from mfd.files import nearest_folder
from mfd.text import size

_BLOCK = 2**24
_READ = 2**22  # about an image


@dataclass(frozen=True)
class DiskSpeed:
    """What a disk did.

    Args:
        write: bytes per second, on the disk for certain.
        read: bytes per second, past the memory in which the system keeps files.
        free: bytes.
    """

    write: float
    read: float
    free: int


def probe_disk(folder: Path, seconds: float = 1.0, num_bytes: int = 2**28) -> DiskSpeed:
    """Write as stores are written, whole synced files, and read pieces of that in random order.

    Args:
        folder: of stores; if there is none yet, the nearest above it that exists is taken.
        seconds: about how long is written at most, and then read.
        num_bytes: that are written at most.

    Raises:
        DiskError: the disk cannot be written, has too little room, or cannot be read that way.
    """
    folder = nearest_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < 4 * num_bytes:
        raise DiskError(
            f"{folder} has {size(free)} free, too little to measure its disk; make room"
        )
    with _refusals(folder), tempfile.TemporaryFile(dir=folder, buffering=0) as scratch:
        file = scratch.fileno()
        block = mmap(-1, _BLOCK)  # begins with a page, as reading past the system's memory needs
        block.write(os.urandom(_BLOCK))  # nothing that a file system could compress

        def write(start: int) -> int:
            done = os.pwrite(file, block, start)
            os.fsync(file)
            return done

        written, write_rate = _rate(write, range(0, num_bytes, _BLOCK), seconds)
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_DIRECT)
        page = memoryview(block)[:_READ]
        places = np.random.default_rng(0).permutation(written // _READ) * _READ
        _, read_rate = _rate(lambda at: os.preadv(file, [page], at), places.tolist(), seconds)
    return DiskSpeed(write_rate, read_rate, free)


def _rate(move: Callable[[int], int], places: Iterable[int], seconds: float) -> tuple[int, float]:
    """Bytes moved at these places until the time is up, and how many per second."""
    moved, spent, started = 0, 0.0, time.perf_counter()
    for place in places:
        moved += move(place)
        spent = time.perf_counter() - started
        if spent > seconds:
            break
    return moved, moved / spent


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """What the file system refuses, in one line."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{folder} refuses to be measured ({error.strerror or error}); "
            "choose --stores on a disk that can be written and read directly"
        ) from error
