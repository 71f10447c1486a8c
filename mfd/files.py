"""Files and folders that are either whole or absent, also after a power cut."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mfd.errors import DiskError, MfdError

_NOT_OURS = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS}
_CALL = 256 << 10  # bytes of a write; for more, Linux looks for large pages, which may take longer
_MAX_VIEWS = 1024  # in one call (IOV_MAX of Linux and macOS)


def write_atomically(path: Path, *content: Any) -> None:
    """Put `content` at `path` by a synced temporary file beside it and a rename.

    Of two processes that do so at the same time one fails; a path should have one writer.

    Args:
        content: bytes, arrays and the like, written one after the other.

    Raises:
        OSError: as the file system does; `path` is then what it was before.
    """
    with atomic_file(path) as append:
        for piece in content:
            append(piece)


def write_if_ours(path: Path, *content: Any) -> None:
    """As `write_atomically`, into a folder that is made; nothing where this user may not write.

    For what can be made again. Of several processes that write it at the same time, one does.

    Raises:
        OSError: for other reasons, such as a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, *content)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files or none: each beside its place first, then renamed one after the other.

    Raises:
        OSError: as the file system does; no file has then been replaced.
    """
    temporary = {folder / name: folder / f"{name}.tmp" for name in files}
    with _removed_after_errors(*temporary.values()):
        for path, content in zip(temporary.values(), files.values(), strict=True):
            with _synced(path) as append:
                append(content)
        for path, written in temporary.items():
            written.replace(path)
    sync(folder)


@contextmanager
def atomic_file(path: Path) -> Iterator[Callable[[Any], None]]:
    """A function that appends bytes, an array or the like to what then is put at `path`.

    What was appended must not change before the block ends.

    Raises:
        OSError: as the file system does; `path` is then what it was before, as after any error.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with _removed_after_errors(temporary):
        with _synced(temporary) as append:
            yield append
        temporary.replace(path)
    sync(path.parent)


@contextmanager
def _removed_after_errors(*temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for file in temporary:
            with suppress(OSError):
                file.unlink()
        raise


@contextmanager
def _synced(path: Path) -> Iterator[Callable[[Any], None]]:
    """A function that appends to a new file, which is on the disk after the block."""
    try:
        with path.open("wb", buffering=0) as file:
            calls = _Calls(file.fileno())
            yield calls.append
            calls.write()
            os.fsync(file.fileno())
    except OSError as error:
        if error.filename is None:  # as writing does, unlike opening
            error.filename = str(path)
        raise


class _Calls:
    """Pieces of a file, written `_CALL` bytes at a time: whole pages of the cache read faster."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._views: list[memoryview] = []
        self._room = _CALL

    def append(self, piece: Any) -> None:
        left = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        while left:
            view, left = left[: self._room], left[self._room :]
            self._views.append(view)
            self._room -= len(view)
            if not self._room or len(self._views) == _MAX_VIEWS:
                self.write()

    def write(self) -> None:
        """Write what there is, in as many calls as the system needs."""
        views, self._views = self._views, []
        self._room = self._room or _CALL
        while views:
            written = os.writev(self._file, views)
            while views and len(views[0]) <= written:
                written -= len(views.pop(0))
            if views:
                views[0] = views[0][written:]


@contextmanager
def disk_errors(path: Path, what_then: str, refusal: type[MfdError] = DiskError) -> Iterator[None]:
    """What the file system refuses while `path` is written, as one line.

    Args:
        what_then: follows "make room and", such as "rerun the command".

    Raises:
        MfdError: `refusal`, with the reason and the file.
    """
    try:
        yield
    except BrokenPipeError:  # a reader of the output has ended
        raise
    except OSError as error:
        if isinstance(error, MfdError):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "make room" if full else "fix the cause"
        where = f": {error.filename}" if error.filename else ""
        raise refusal(
            f"{path} cannot be written ({error.strerror or error}{where}); {cure} and {what_then}"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Put a value of plain JSON types at `path`, one field a line, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` that becomes `path` once the block has filled it.

    What a killed process left of an earlier attempt is deleted.

    Raises:
        OSError: as the file system does, and if `path` exists and is not empty.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    for file in (unfinished, *unfinished.rglob("*")):
        sync(file)
    unfinished.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nearest_folder(path: Path) -> Path:
    """The folder `path`, or the nearest one above it that is there: on whose disk it will be.

    Raises:
        DiskError: what is nearest is no folder, such as a file, or a link to a disk that is absent.
    """
    whole = path.absolute()
    nearest = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise DiskError(f"{nearest} is not a folder, which {path} needs; move it, or name another")
    return nearest


def require_writable(folder: Path) -> None:
    """Nothing, if files can be made in a folder, or the folder itself.

    Raises:
        DiskError: they cannot.
    """
    nearest = nearest_folder(folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DiskError(
            f"nothing can be written to {nearest}, where {folder} belongs; change its permissions, "
            "or name other folders by --stores and --runs"
        )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def json_sha256(value: Any) -> str:
    """The digest of a value's canonical JSON, hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
