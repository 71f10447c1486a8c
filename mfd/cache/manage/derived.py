"""What belongs to a store but lies beside it: folders made from it, and the runs that need it."""

import re
import uuid
from pathlib import Path

from mfd.files import write_atomically

_DERIVED = "targets"
_REFERENCES = ".refs"


def derived_dir(store: Path, kind: str, sha256: str) -> Path:
    """The folder for something that is made from a store, and is removed with it.

    Args:
        kind: lower-case letters and digits.
        sha256: hex digest of all that determines the content; the name has its first eight digits.
    """
    assert re.fullmatch("[a-z0-9]+", kind)
    return store.parent / _DERIVED / f"{store.name}-{kind}-{sha256[:8]}"


def derived_dirs(store: Path) -> list[Path]:
    """All that was made from a store, by name."""
    name = re.compile(re.escape(store.name) + "-[a-z0-9]+-[0-9a-f]{8}")
    folder = store.parent / _DERIVED
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if name.fullmatch(path.name))


def add_reference(store: Path, run: Path) -> None:
    """Note that a run needs the store, until the run's folder is deleted."""
    folder = reference_dir(store)
    folder.mkdir(parents=True, exist_ok=True)
    where = str(run.absolute())
    name = f"{run.name}-{uuid.uuid5(uuid.NAMESPACE_URL, where)}.txt"
    write_atomically(folder / name, where.encode())


def references(store: Path) -> list[Path]:
    """The folders of the runs that need the store and are still there."""
    folder = reference_dir(store)
    runs = [Path(file.read_text()) for file in sorted(folder.glob("*.txt"))]
    return [run for run in runs if run.exists()]


def reference_dir(store: Path) -> Path:
    """Where references to a store are noted."""
    return store.parent / _REFERENCES / store.name
