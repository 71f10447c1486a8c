"""Which category each logit column of a Transformers detector stands for, by id and by name."""

import re
from collections.abc import Mapping

from mfd.coco import COCO_IDS, COCO_NAMES

_NO_NAME = re.compile(r"LABEL_\d+|N/A|", re.IGNORECASE)  # what configs say of columns without one


def categories(
    num_columns: int, id2label: Mapping[int, str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The category id of every column, and its name; "" where none is known, no names if all lack.

    Transformers' models know names, not ids. 80 columns from "person" to "toothbrush" are COCO's
    categories in their order, whose names configs spell in several ways. Everything else counts
    columns: the 91 of the DETR family are COCO's ids as they are, and a model trained on other data
    has as ids what its training called labels.

    Args:
        num_columns: without "no object".
        id2label: of the model's config; names of columns, "LABEL_0" and so on where it has none.
    """
    ends = (id2label.get(0), id2label.get(num_columns - 1))
    if num_columns == len(COCO_IDS) and ends == ("person", "toothbrush"):
        return COCO_IDS, tuple(COCO_NAMES.values())
    names = [str(id2label.get(column, "")) for column in range(num_columns)]
    names = ["" if _NO_NAME.fullmatch(name) else name for name in names]
    return tuple(range(num_columns)), tuple(names) if any(names) else ()
