"""Which COCO category each logit column of a Transformers detector stands for."""

from collections.abc import Mapping

from mfd.coco import COCO_IDS


def category_ids(num_columns: int, id2label: Mapping[int, str]) -> tuple[int, ...]:
    """The category id of every column.

    Transformers' models know names, not ids. 80 columns that begin with "person", or have no
    names, are COCO's categories in their order. Everything else counts columns: the 91 of the DETR
    family are COCO's ids as they are, and a model trained on other data has as ids what its
    training called labels.

    Args:
        num_columns: without "no object".
        id2label: of the model's config; names of columns, "LABEL_0" and so on where it has none.
    """
    if num_columns == len(COCO_IDS) and id2label.get(0) in ("person", "LABEL_0", None):
        return COCO_IDS
    return tuple(range(num_columns))
