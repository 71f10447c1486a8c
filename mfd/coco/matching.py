"""Which category of a detector each annotated category is: by hand, by name, or by its id."""

from collections import Counter
from collections.abc import Collection, Mapping

from mfd.coco.dataset import CocoDataset
from mfd.coco.spelling import nearly_alike, plain, spelled_alike
from mfd.errors import ConfigError, DataError
from mfd.text import short, some, suggest

ByHand = Mapping[str, str | int | bool]
"""For names in annotations the detector's name or id; False for none of them."""


def detector_ids(
    dataset: CocoDataset, category_ids: Collection[int], names: Mapping[int, str], by_hand: ByHand
) -> dict[int, int]:
    """The detector's id of each annotated category that it has.

    Names are the same but for case, spaces and signs, or if COCO's category has both. Without
    names on either side ids count.

    Args:
        category_ids: of the detector.
        names: of those of them that have one.
        by_hand: comes first.

    Raises:
        DataError: a name in use could be one of the detector's, or is that of several.
        ConfigError: `by_hand` names a category that the detector does not have.
    """
    hand = {plain(name): value for name, value in by_hand.items()}
    found: dict[int, int] = {}
    open_names: dict[int, str] = {}
    for category_id, name in dataset.categories.items():
        if (chosen := hand.get(plain(name))) is False:
            continue
        if chosen is not None:
            found[category_id] = _by_hand(name, chosen, category_ids, names)
        elif not names or plain(name) == str(category_id):  # a name on neither side, or on one
            if category_id in category_ids:
                found[category_id] = category_id
        elif category_id in (alike := spelled_alike(name, names)):
            found[category_id] = category_id
        elif len(alike) == 1:
            found[category_id] = alike[0]
        else:
            open_names[category_id] = name
    _require_clear(dataset, open_names, names)
    return found


def count_objects(dataset: CocoDataset) -> Counter[int]:
    """Objects of each category id, without crowd regions."""
    found = dataset.annotations
    return Counter(found.category_ids[~found.is_crowd].tolist())


def _by_hand(
    name: str, chosen: str | int, category_ids: Collection[int], names: Mapping[int, str]
) -> int:
    entry = f"[categories] in mfd.toml has {short(name)} = {short(chosen)}"
    if isinstance(chosen, int):
        if chosen in category_ids:
            return chosen
        raise ConfigError(
            f"{entry}, which is no category id of the detector; it has {some(category_ids)}"
        )
    alike = spelled_alike(chosen, names)
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise ConfigError(
            f"{entry}, a name of several of the detector's categories; give one of their numbers, "
            f"{some(alike)}"
        )
    cure = suggest(chosen, names.values()) if names else "it has no names, so give a number"
    raise ConfigError(f"{entry}, a name that the detector does not have; {cure}")


def _require_clear(
    dataset: CocoDataset, open_names: Mapping[int, str], names: Mapping[int, str]
) -> None:
    """Ask for every name in use that has the spelling of several, or nearly that of one."""
    taken = {plain(name) for name in dataset.categories.values()}
    free = [name for name in names.values() if plain(name) not in taken]
    questions = {}
    for category_id, count in count_objects(dataset).items():
        if (name := open_names.get(category_id)) is None:
            continue
        several = [f"{key} {short(names[key])}" for key in spelled_alike(name, names)]
        if candidates := several or list(map(short, nearly_alike(name, free))):
            maybe = " or ".join(candidates)
            questions[name] = f"{short(name)} ({count} objects) may be {maybe}"
    if questions:
        raise DataError(
            f"{dataset.annotations_file}: it is not clear whether categories are the detector's: "
            f"{some(questions.values())}; say it under [categories] in mfd.toml by a line such as "
            f'"{next(iter(questions))}" = "..." with the name or number that the detector has, or '
            "false for none"
        )
