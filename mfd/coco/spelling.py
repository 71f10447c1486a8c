"""Whether two names of categories are the same, however they are spelled."""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping

_SYNONYMS = (  # of COCO's names: Pascal VOC's, and the other spelling where English has two
    ("airplane", "aeroplane"),
    ("cell phone", "mobile phone"),
    ("couch", "sofa"),
    ("donut", "doughnut"),
    ("hair drier", "hair dryer"),
    ("motorcycle", "motorbike"),
    ("person", "human"),
    ("refrigerator", "fridge"),
    ("remote", "remote control"),
    ("tv", "tv monitor", "television"),
)
_NEAR = 0.85  # of difflib's ratio: "cars" and "car" are near, "horse" and "house" are not


def plain(name: str) -> str:
    """The name without case, spaces, underscores and other signs."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, folded)) or folded


_MEANING = {plain(name): plain(group[0]) for group in _SYNONYMS for name in group}


def spelled_alike(name: str, names: Mapping[int, str]) -> list[int]:
    """The ids whose name is this one, else those whose name is a synonym of it."""
    own = plain(name)
    same = [key for key, other in names.items() if plain(other) == own]
    meaning = _MEANING.get(own)
    if same or meaning is None:
        return same
    return [key for key, other in names.items() if _MEANING.get(plain(other)) == meaning]


def nearly_alike(name: str, names: Iterable[str]) -> list[str]:
    """The names that could be this one, written in another form or mistyped."""
    by_plain = {plain(other): other for other in names}
    return [by_plain[p] for p in difflib.get_close_matches(plain(name), by_plain, cutoff=_NEAR)]
