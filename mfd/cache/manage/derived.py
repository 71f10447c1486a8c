"""What belongs to a store but lies beside it: folders made from it, and the runs that need it."""

import errno
import re
import uuid
from pathlib import Path

from mfd.files import write_atomically

DERIVED = "targets"
REFERENCES = ".refs"
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)


def derived_dir(store: Path, kind: str, sha256: str) -> Path:
    """The folder for something that is made from a store, and is removed with it.

    Args:
        kind: lower-case letters and digits.
        sha256: hex digest of all that determines the content; the name has its first eight digits.
    """
    assert re.fullmatch("[a-z0-9]+", kind)
    return store.parent / DERIVED / f"{store.name}-{kind}-{sha256[:8]}"


def derived_dirs(store: Path) -> list[Path]:
    """All that was made from a store, by name."""
    name = re.compile(re.escape(store.name) + "-[a-z0-9]+-[0-9a-f]{8}")
    folder = store.parent / DERIVED
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if name.fullmatch(p.name) and p.is_dir() and not p.is_symlink())


def add_reference(store: Path, run: Path, own: Path | None = None) -> None:
    """Note that a run needs the store, until the run's folder is deleted.

    Args:
        own: the user's own folder of stores, for the note where the store's folder is read-only or
            another user's.

    Raises:
        OSError: neither can be written.
    """
    where = str(run.absolute())
    name = f"{run.name}-{uuid.uuid5(uuid.NAMESPACE_URL, where)}.txt"
    folders = _reference_dirs(store, own)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / name, where.encode())
        except OSError as error:
            if error.errno not in _NOT_OURS or folder == folders[-1]:
                raise
        else:
            return


def references(store: Path, own: Path | None = None) -> list[Path]:
    """The folders of the runs that need the store and are still there, as far as one can see."""
    files = [f for folder in _reference_dirs(store, own) for f in sorted(folder.glob("*.txt"))]
    return [run for run in map(_run_of, files) if run is not None]


def reference_dir(store: Path) -> Path:
    """Where references to a store are noted."""
    return store.parent / REFERENCES / store.name


def _reference_dirs(store: Path, own: Path | None) -> list[Path]:
    beside = reference_dir(store.absolute())
    return [beside] if own is None else [beside, reference_dir(own.absolute() / store.name)]


def _run_of(note: Path) -> Path | None:
    """The run of a note if it is still there; of an unreadable one the note."""
    try:
        run = Path(note.read_text())
        run.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        return note if isinstance(error, ValueError) or error.errno in _NOT_OURS else None
    return run
