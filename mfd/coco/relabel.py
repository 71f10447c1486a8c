"""A data set in the categories of a detector."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from mfd.coco.dataset import CocoDataset
from mfd.coco.matching import ByHand, count_objects, detector_ids
from mfd.text import MAX_NAMED, some


@dataclass(frozen=True)
class MatchedCategories:
    """What became of the categories of a data set.

    Attributes:
        dataset: its annotations have the detector's ids, and its categories the detector's names
            where it has some. A category that the detector does not know keeps its name, and its
            id unless it is one of the detector's.
        renumbered: the known categories whose id was another: id and name as annotated, then as
            the detector has them.
        note: what is to be said of classes that the detector does not know; empty without such.
        nothing_known: there are objects, and the detector knows the class of none.
    """

    dataset: CocoDataset
    renumbered: tuple[tuple[int, str, int, str], ...] = ()
    note: str = ""
    nothing_known: bool = False

    def table(self) -> str:
        """The categories that had another id, one per line, or the first few of those that only
        had that; empty if there are none."""
        if not self.renumbered:
            return ""
        other = [row for row in self.renumbered if row[1] != row[3]]
        alike = [row for row in self.renumbered if row[1] == row[3]]
        shown = other + alike[:MAX_NAMED]
        rows = [(f"{old} {name}", f"{new} {known}") for old, name, new, known in shown]
        width = max(len(left) for left, _ in rows)
        lines = [f"  {left:{width}}  ->  {right}" for left, right in rows]
        if more := len(self.renumbered) - len(shown):
            lines.append(f"  and {more} more of equal names")
        return "\n".join(("categories matched by name, as annotated -> in the detector:", *lines))


def match_categories(
    dataset: CocoDataset,
    category_ids: Collection[int],
    names: Mapping[int, str],
    by_hand: ByHand | None = None,
) -> MatchedCategories:
    """The data set in the detector's categories; see `detector_ids` for arguments and errors."""
    known = detector_ids(dataset, category_ids, names, by_hand or {})
    new_ids, free = dict(known), max((*category_ids, *dataset.categories), default=0) + 1
    for category_id in dataset.categories.keys() - known.keys():
        new_ids[category_id] = category_id
        if category_id in category_ids:
            new_ids[category_id], free = free, free + 1
    categories: dict[int, str] = {}
    for category_id, name in dataset.categories.items():
        new_id = new_ids[category_id]
        categories.setdefault(new_id, names.get(new_id, name))
    counts = count_objects(dataset)
    unknown = {key: counts[key] for key in dataset.categories if counts[key] and key not in known}
    changed = {old: new for old, new in new_ids.items() if old != new}
    return MatchedCategories(
        dataset=_renumbered(replace(dataset, categories=categories), changed),
        renumbered=tuple(
            (old, dataset.categories[old], new, categories[new])
            for old, new in changed.items()
            if old in known
        ),
        note=unknown_classes(
            [dataset.categories[key] for key in unknown],
            (sum(unknown.values()), counts.total()),
            [names.get(key, key) for key in category_ids],
        ),
        nothing_known=0 < counts.total() == sum(unknown.values()),
    )


def unknown_classes(
    unknown: Collection[str], counts: tuple[int, int], known: Iterable[object]
) -> str:
    """What is to be said of classes that a detector does not know; empty if there are none.

    Args:
        unknown: their names.
        counts: objects of these, and of all classes.
        known: names, or ids, of those that it knows.
    """
    if not unknown:
        return ""
    return (
        f"{counts[0]} of {counts[1]} objects are of classes that the detector does not know "
        f"({some(map(repr, unknown))}); it knows {some(known)}; no renumbering helps, since it has "
        "no score for others; class-agnostic training does: `mfd train-head --set "
        "class_agnostic=true`; a class that it has under another name is matched by a line under "
        "[categories] in mfd.toml"
    )


def _renumbered(dataset: CocoDataset, changed: Mapping[int, int]) -> CocoDataset:
    if not changed:
        return dataset
    annotations = dataset.annotations.renumbered(changed)
    return replace(
        dataset,
        annotations=annotations,
        federated=dataset.federated and dataset.federated.renumbered(changed),
        renumbered=tuple(sorted(changed.items())),
    )
