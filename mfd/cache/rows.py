"""An image's features as rows of the store's arrays, and back."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mfd.cache.identity import StoredDtype, StoreIdentity
from mfd.cache.journal import ImageRecord
from mfd.cache.plan import Plan
from mfd.detector import DetectorSpec, ImageFeatures
from mfd.errors import StoreError


def to_rows(
    features: ImageFeatures, identity: StoreIdentity, plan: Plan
) -> tuple[dict[str, np.ndarray], ImageRecord]:
    """What is written for one image, by array name, and its sizes.

    Raises:
        StoreError: naming the image, if a shape is not what the detector's spec and the plan
            say, or a value is not finite in the stored element type.
    """
    spec, dtype = identity.spec, identity.dtype
    tokens = torch.cat([level.flatten(0, 1) for level in features.memory])
    rows = {
        "dec/query": _stored(features, "queries", features.queries, dtype),
        "dec/logit": _stored(features, "logits", features.logits, dtype),
        "dec/box": _stored(features, "boxes", features.boxes, "float32"),
        "enc/tokens": _stored(features, "memory", tokens, dtype),
    }
    expected = {
        "dec/query": (spec.num_queries, spec.dim),
        "dec/logit": (spec.num_queries, spec.num_logits),
        "dec/box": (spec.num_queries, 4),
        "enc/tokens": (min(len(tokens), plan.tokens), spec.dim),
    }
    c1_hw = (0, 0)
    if identity.profile == "full":
        if features.c1 is None:
            raise StoreError(
                f"image {features.image_id} comes without c1, which a store of the full profile "
                "holds; let the detector return it or choose the lite profile"
            )
        c1_hw = _size(features.c1)
        rows["c1/map"] = _stored(features, "c1", features.c1.flatten(0, 1), dtype)
        expected["c1/map"] = (min(len(rows["c1/map"]), plan.pixels), spec.c1_channels)
    if len(features.memory) != len(spec.strides):
        raise StoreError(
            f"image {features.image_id} has {len(features.memory)} encoder maps, "
            f"expected {len(spec.strides)}; correct the detector's spec"
        )
    for name, array in rows.items():
        if array.shape != expected[name]:
            raise StoreError(
                f"image {features.image_id}: {name} has shape {array.shape}, expected at most "
                f"{expected[name]}; correct the detector's spec or the sizes the store was "
                "planned with"
            )
    sizes = ImageRecord(features.input_hw, tuple(map(_size, features.memory)), c1_hw)
    return rows, sizes


def from_rows(
    rows: Mapping[str, np.ndarray],
    sizes: ImageRecord,
    image_id: int,
    original_hw: tuple[int, int],
    spec: DetectorSpec,
) -> ImageFeatures:
    """One image's features in the stored element type; the maps share the rows' memory."""
    tokens = torch.from_numpy(rows["enc/tokens"])
    levels = tokens.split([height * width for height, width in sizes.level_hw])
    memory = [m.view(*hw, spec.dim) for m, hw in zip(levels, sizes.level_hw, strict=True)]
    c1 = rows.get("c1/map")
    return ImageFeatures(
        image_id=image_id,
        original_hw=original_hw,
        input_hw=sizes.input_hw,
        queries=torch.from_numpy(rows["dec/query"]),
        boxes=torch.from_numpy(rows["dec/box"]),
        logits=torch.from_numpy(rows["dec/logit"]),
        memory=memory,
        c1=None if c1 is None else torch.from_numpy(c1).view(*sizes.c1_hw, spec.c1_channels),
    )


def _stored(features: ImageFeatures, what: str, values: Tensor, dtype: StoredDtype) -> np.ndarray:
    """The values in the stored element type, checked to be finite in it."""
    stored = values.detach().to("cpu", getattr(torch, dtype))
    if not torch.stack(torch.aminmax(stored)).isfinite().all():  # a NaN is both least and largest
        if torch.isfinite(values).all():
            largest = values.abs().max().item()
            raise StoreError(
                f"image {features.image_id}: {what} reach {largest:.3g}, more than {dtype} holds; "
                "extract with --dtype float32"
            )
        raise StoreError(
            f"image {features.image_id}: {what} hold NaN or infinity; look at the image and the "
            "detector's weights"
        )
    return stored.numpy()


def _size(level: Tensor) -> tuple[int, int]:
    return int(level.shape[0]), int(level.shape[1])
