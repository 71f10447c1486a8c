"""An image's features in the element types of a store, encoded where they were computed."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mfd.cache.format.encodings import ENCODINGS, Encoding
from mfd.config import StoredDtype
from mfd.detectors import ImageFeatures, copy_to_cpu
from mfd.errors import StoreError

Part = tuple[str, Encoding, Tensor]
"""What a tensor is called in messages, how it is encoded, and its values."""


def encode_features(features: ImageFeatures, dtype: StoredDtype) -> ImageFeatures:
    """As `encode_batch`, of one image."""
    return encode_batch([features], dtype)[0]


def encode_batch(images: Sequence[ImageFeatures], dtype: StoredDtype) -> list[ImageFeatures]:
    """Images' features as a store of this element type has them, in the CPU's memory.

    They are encoded on the device they are on; all are then copied from it in one piece.

    Raises:
        StoreError: naming the image, if a value is not finite in its stored element type.
    """
    parts = [_parts(image, dtype) for image in images]
    encoded = [[of.encode(values.detach()) for _, of, values in each] for each in parts]
    flags = [
        of.is_finite(*pair)
        for each, pairs in zip(parts, encoded, strict=True)
        for (_, of, _), pair in zip(each, pairs, strict=True)
    ]
    finite = iter(torch.stack(flags).tolist() if flags else ())
    for image, each in zip(images, parts, strict=True):
        for part in each:
            if not next(finite):
                raise _not_finite(image.image_id, *part)
    return copy_to_cpu(
        [_stored(image, pairs, dtype) for image, pairs in zip(images, encoded, strict=True)]
    )


def _parts(features: ImageFeatures, dtype: StoredDtype) -> list[Part]:
    of_maps, of_boxes = ENCODINGS[dtype], ENCODINGS["float32"]
    of_queries = ENCODINGS[of_maps.query_dtype]
    return [
        ("queries", of_queries, features.queries),
        ("boxes", of_boxes, features.boxes),
        ("logits", of_queries, features.logits),
        *(("memory", of_maps, level) for level in features.memory),
        *([] if features.c1 is None else [("c1", of_maps, features.c1)]),
    ]


def _stored(
    features: ImageFeatures, encoded: Sequence[tuple[Tensor, dict[str, Tensor]]], dtype: StoredDtype
) -> ImageFeatures:
    """The features with the numbers and constants of each of their `_parts`."""
    (queries, _), (boxes, _), (logits, _), *maps = encoded
    c1, c1_constants = (None, {}) if features.c1 is None else maps.pop()
    return replace(
        features,
        queries=queries,
        boxes=boxes,
        logits=logits,
        memory=[level for level, _ in maps],
        c1=c1,
        memory_constants={
            name: torch.stack([constants[name] for _, constants in maps])
            for name in ENCODINGS[dtype].constants
        },
        c1_constants=c1_constants,
    )


def _not_finite(image_id: int, what: str, encoding: Encoding, values: Tensor) -> StoreError:
    if torch.isfinite(values).all():
        return StoreError(
            f"image {image_id}: {what} reach {values.abs().max().item():.3g}, more than "
            f"{encoding.dtype} holds; extract with --dtype float32"
        )
    return StoreError(
        f"image {image_id}: {what} hold NaN or infinity; look at the image and the detector's "
        "weights"
    )
