"""An image's features in the element types of a store, encoded where they were computed."""

from dataclasses import replace

import torch
from torch import Tensor

from mfd.cache.format.encodings import ENCODINGS, Encoding
from mfd.config import StoredDtype
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError


def encode_features(features: ImageFeatures, dtype: StoredDtype) -> ImageFeatures:
    """The features as a store of this element type has them, in the CPU's memory.

    They are encoded on the device they are on and copied from it once, in stored form.

    Raises:
        StoreError: naming the image, if a value is not finite in its stored element type.
    """
    of_maps, of_boxes = ENCODINGS[dtype], ENCODINGS["float32"]
    of_queries = ENCODINGS[of_maps.query_dtype]
    parts: list[tuple[str, Encoding, Tensor]] = [
        ("queries", of_queries, features.queries),
        ("boxes", of_boxes, features.boxes),
        ("logits", of_queries, features.logits),
        *(("memory", of_maps, level) for level in features.memory),
        *([] if features.c1 is None else [("c1", of_maps, features.c1)]),
    ]
    encoded = [encoding.encode(values.detach()) for _, encoding, values in parts]
    finite = torch.stack(
        [part[1].is_finite(*pair) for part, pair in zip(parts, encoded, strict=True)]
    )
    if not finite.all():
        raise _not_finite(features.image_id, *parts[finite.tolist().index(False)])
    (queries, _), (boxes, _), (logits, _), *maps = encoded
    c1, c1_constants = (None, {}) if features.c1 is None else maps.pop()
    stored = replace(
        features,
        queries=queries,
        boxes=boxes,
        logits=logits,
        memory=[level for level, _ in maps],
        c1=c1,
        memory_constants={
            name: torch.stack([constants[name] for _, constants in maps])
            for name in of_maps.constants
        },
        c1_constants=c1_constants,
    )
    return stored.cpu()


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
