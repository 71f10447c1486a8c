"""Files and JSON values with something wrong in them, drawn with a seed, for tests that fuzz."""

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from mfd.errors import MfdError

NESTED: Any = 7
for _ in range(90):
    NESTED = [NESTED]

HOSTILE = [
    None, True, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**70, 10**400, 0.5, -0.0, 1e308, -1e308,
    float("nan"), float("inf"), "", "0", "\ud800", "\udcff", "[/b]", "\x1b[2J", "a\nb", "\0", "..",
    "../../etc/passwd", "/dev/zero", "C:\\x", "\\\\host\\x", "x" * 10_000, [], [[]], [[[]]], {},
    [None], [1, 2], [[1, 2], [3, 4], [5, 6]], [[1e308] * 6], [[-1e308, 1e308] * 3], [["1"] * 6],
    {"size": [37, 53], "counts": "0" * 5000}, {"size": [2**31, 2**31], "counts": [2**62]},
    {"size": [37, 53], "counts": [True, 37 * 53 - 1]}, {"size": "37", "counts": {}}, NESTED,
]  # fmt: skip


def mutated_value(content: Any, chance: random.Random) -> Any:
    """The JSON value with one to five values inside of it removed, repeated, moved or replaced."""
    content = deepcopy(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        if not (every := _places(content)):
            break
        *path, last = chance.choice(every)
        owner = content
        for key in path:
            owner = owner[key]
        kind = chance.random()
        if kind < 0.15:
            del owner[last]
        elif kind < 0.25 and isinstance(owner, list):
            owner.append(deepcopy(owner[last]))
        elif kind < 0.35:
            value = content
            for step in chance.choice(every):
                value = value[step]
            owner[last] = deepcopy(value)
        else:
            owner[last] = deepcopy(chance.choice(HOSTILE))
    return content


def mutated_text(whole: bytes, chance: random.Random) -> bytes:
    """The text with characters replaced, left out, repeated, or brackets opened."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 3, 30))):
        place = chance.randrange(len(content) + 1)
        kind = chance.random()
        if kind < 0.5:
            content[place : place + 1] = chance.choice(
                [b"%c" % c for c in b'0123456789-.eE,:[]{}"\\ \x00\xff\xef=\n']
            )
        elif kind < 0.7:
            del content[place : place + chance.randrange(40)]
        elif kind < 0.9:
            content[place:place] = content[: chance.randrange(60)]
        else:
            content[place:place] = b"[" * chance.choice((3, 2000))
    return bytes(content)


def mutated_bytes(whole: bytes, chance: random.Random) -> bytes:
    """The bytes with some replaced, left out or repeated, or the file cut off."""
    changed = bytearray(whole)
    for _ in range(chance.choice((1, 1, 4, 40))):
        place = chance.randrange(len(changed))
        if chance.random() < 0.5:  # sizes and offsets stand in front
            place = chance.randrange(min(len(changed), 200))
        kind = chance.random()
        if kind < 0.4:
            changed[place] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif kind < 0.6:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind < 0.7:
            changed[place : place + 4] = chance.choice((bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"))
        elif kind < 0.8:
            del changed[place : place + chance.randrange(1, 30)]
        elif kind < 0.9:
            changed[place:place] = changed[place : place + 50]
        elif len(changed) > 20:
            del changed[chance.randrange(10, len(changed)) :]
        if not changed:
            break
    return bytes(changed)


def require_used_or_named(attempt: Callable[[], object], name: str) -> None:
    """Nothing, if the attempt succeeds, or is refused in one printable line that has the name.

    Any other error is the test's failure.
    """
    try:
        attempt()
    except MfdError as error:
        text = str(error)
        assert name in text, text
        assert len(text.splitlines()) == 1, text
        assert len(text) < 10_000
        text.encode()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value inside of another."""
    if not isinstance(value, dict | list):
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [
        place
        for key, inner in items
        for place in ((*path, key), *(_places(inner, (*path, key)) if len(path) < 20 else ()))
    ]
