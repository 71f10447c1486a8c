"""Stores that are filled, compared, damaged and extracted again."""

import random
from pathlib import Path

from mfd.cache import StoreWriter
from tests.builders.features import features_of, make_identity


def fill(writer: StoreWriter) -> Path:
    """Write what is missing and finish."""
    for unit in writer.todo:
        identity = writer.identity
        writer.write(unit, features_of(writer.images(unit), identity.spec, identity.dtype))
    return writer.finish()


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a store but the locks."""
    locks = (".lock", ".finish.lock")
    files = (f for f in path.rglob("*") if f.is_file() and f.name not in locks)
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


def flip(path: Path, rng: random.Random) -> None:
    """Change one random bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def extract_again(root: Path) -> tuple[int, ...]:
    """What the same extract command does after a repair; returns the units it had to redo."""
    with StoreWriter.open(root, make_identity()) as writer:
        todo = writer.todo
        for unit in todo:
            writer.write(unit, features_of(writer.images(unit), dtype=writer.identity.dtype))
        writer.finish()
    return todo
