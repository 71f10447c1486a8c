"""An image's encoded features as rows of the store's arrays, and back."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mfd.cache.format.layout import ArrayLayout
from mfd.cache.format.profiles import C1, ENCODER, MapKind, map_kinds
from mfd.cache.format.records import ImageRecord
from mfd.cache.format.shards import Row
from mfd.config import Profile
from mfd.detectors import DetectorSpec, ImageFeatures
from mfd.errors import StoreError


def to_rows(
    features: ImageFeatures, spec: DetectorSpec, profile: Profile, arrays: Sequence[ArrayLayout]
) -> tuple[dict[str, Row], ImageRecord]:
    """What is written for one image, by array name, and its sizes. Nothing is copied.

    Args:
        features: of `encode_features`.
        arrays: of the store's units.

    Raises:
        StoreError: naming the image, if an element type or a shape is not that of the array.
    """
    rows: dict[str, Row] = {
        "dec/query": [features.queries.numpy()],
        "dec/logit": [features.logits.numpy()],
        "dec/box": [features.boxes.numpy()],
    }
    kinds = map_kinds(spec, profile)
    for kind in kinds:
        maps, expected = kind.maps(features), len(kind.strides(spec))
        if len(maps) != expected:
            raise StoreError(
                f"image {features.image_id} has {len(maps)} maps for {kind.array}, expected "
                f"{expected}; correct the detector's spec or extract with another --profile"
            )
        rows[kind.array] = [level.flatten(0, 1).numpy() for level in maps]
        for name, values in kind.constants(features).items():
            rows[kind.constant_array(name)] = [values.numpy()]
    padded = {kind.array for kind in kinds}
    for array in arrays:
        _check(features.image_id, array, rows.get(array.name, ()), array.name in padded)
    c1_hw = (0, 0) if C1.array not in rows or features.c1 is None else _size(features.c1)
    return rows, ImageRecord(features.input_hw, tuple(map(_size, features.memory)), c1_hw)


def from_rows(
    rows: Mapping[str, np.ndarray],
    sizes: ImageRecord,
    image_id: int,
    original_hw: tuple[int, int],
    spec: DetectorSpec,
) -> ImageFeatures:
    """One image's features in the stored element types; the maps share the rows' memory."""
    stored = {name: torch.from_numpy(values) for name, values in rows.items()}
    tokens = stored["enc/tokens"].split([height * width for height, width in sizes.level_hw])
    c1 = stored.get("c1/map")
    return ImageFeatures(
        image_id=image_id,
        original_hw=original_hw,
        input_hw=sizes.input_hw,
        queries=stored["dec/query"],
        boxes=stored["dec/box"],
        logits=stored["dec/logit"],
        memory=[m.view(*hw, -1) for m, hw in zip(tokens, sizes.level_hw, strict=True)],
        c1=None if c1 is None else c1.view(*sizes.c1_hw, -1),
        memory_constants=_constants(stored, ENCODER),
        c1_constants=_constants(stored, C1),
    )


def _constants(stored: Mapping[str, Tensor], kind: MapKind) -> dict[str, Tensor]:
    beside = kind.constant_array("")
    return {
        name.removeprefix(beside): values
        for name, values in stored.items()
        if name.startswith(beside) and name != kind.array
    }


def _check(image_id: int, array: ArrayLayout, row: Row, padded: bool) -> None:
    """Refuse what does not fit into the array's row; a padded one may be filled in part."""
    if not row or any(piece.dtype != array.dtype for piece in row):
        found = row[0].dtype if row else "nothing"
        raise StoreError(
            f"image {image_id}: {array.name} is {found}, the store holds {array.dtype}; encode "
            "the features first"
        )
    shape = (sum(map(len, row)), *row[0].shape[1:])
    length = min(shape[0], array.shape[1]) if padded else array.shape[1]
    if shape != (expected := (length, *array.shape[2:])):
        raise StoreError(
            f"image {image_id}: {array.name} has shape {shape}, expected at most {expected}; "
            "correct the detector's spec or the sizes the store was planned with"
        )


def _size(level: Tensor) -> tuple[int, int]:
    return int(level.shape[0]), int(level.shape[1])
