"""Which category each logit column of a Transformers detector stands for, by id and by name."""

import re
from collections.abc import Mapping

from mfd.coco import COCO_IDS, COCO_NAMES

_NO_NAME = re.compile(r"LABEL_\d+|N/A|", re.IGNORECASE)  # what configs say of columns without one


def category_ids(num_columns: int, id2label: Mapping[int, str]) -> tuple[int, ...]:
    """The category id of every column.

    Transformers' models know names, not ids. 80 columns from "person" to "toothbrush" are COCO's
    categories in their order. Everything else counts columns: the 91 of the DETR family are COCO's
    ids as they are, and a model trained on other data has as ids what its training called labels.

    Args:
        num_columns: without "no object".
        id2label: of the model's config; names of columns, "LABEL_0" and so on where it has none.
    """
    return COCO_IDS if _are_cocos(num_columns, id2label) else tuple(range(num_columns))


def category_names(num_columns: int, id2label: Mapping[int, str]) -> tuple[str, ...]:
    """The name of every column, "" where the config has none; empty if it has none at all.

    COCO's categories have COCO's names, whose spelling differs between configs.
    """
    if _are_cocos(num_columns, id2label):
        return tuple(COCO_NAMES.values())
    names = [str(id2label.get(column, "")) for column in range(num_columns)]
    names = ["" if _NO_NAME.fullmatch(name) else name for name in names]
    return tuple(names) if any(names) else ()


def _are_cocos(num_columns: int, id2label: Mapping[int, str]) -> bool:
    ends = (id2label.get(0), id2label.get(num_columns - 1))
    return num_columns == len(COCO_IDS) and ends == ("person", "toothbrush")
