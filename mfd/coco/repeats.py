"""Files that are listed under several image ids, and objects that are annotated twice."""

from collections.abc import Mapping, Sequence

import numpy as np

from mfd.coco.annotations import Annotations
from mfd.coco.dataset import CocoDataset
from mfd.coco.findings import Finding
from mfd.text import MAX_NAMED, printable


def repeated_files(dataset: CocoDataset, digests: Mapping[int, str] | None = None) -> list[Finding]:
    """The images whose file has an earlier id; an empty list if there are none.

    Args:
        digests: of image files by image id; none, or zeros, for those that could not be read.
            Without digests, files are the same if their names are.
    """
    first: dict[str, int] = {}
    pairs = []
    for entry in dataset.images:
        key = entry.file_name if digests is None else digests.get(entry.image_id, "")
        if not key.strip("0"):
            continue
        if key in first:
            pairs.append(f"images {first[key]} and {entry.image_id}, {printable(entry.file_name)}")
        else:
            first[key] = entry.image_id
    return _finding(
        "image files under two ids",
        pairs,
        len(dataset.images),
        "what is found under one id counts as wrong if the object is annotated under the other; "
        "keep one of them, with the annotations of both",
    )


def repeated_objects(annotations: Annotations) -> list[Finding]:
    """The objects that an earlier one equals in image, category, box and area."""
    rows = np.flatnonzero(~annotations.is_crowd)
    columns = (annotations.areas, *annotations.boxes_xywh.T, annotations.category_ids)
    keys = [column[rows] for column in (*columns, annotations.image_ids)]
    order = np.lexsort(keys)  # the first of equals stays the first
    equal = np.all([key[order[1:]] == key[order[:-1]] for key in keys], axis=0)
    repeats = [annotations.name(row) for row in np.sort(rows[order[1:][equal]])]
    return _finding(
        "objects annotated twice",
        repeats,
        len(rows),
        "one of the two can never be found; merged or appended exports make such files; keep one",
    )


def _finding(kind: str, named: Sequence[str], total: int, advice: str) -> list[Finding]:
    if not named:
        return []
    return [Finding(kind, len(named), total, tuple(named[:MAX_NAMED]), advice=advice)]
