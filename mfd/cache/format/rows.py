"""An image's features as rows of the store's arrays, and back."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mfd.cache.format.plan import Plan
from mfd.cache.format.quantise import quantise
from mfd.cache.store.identity import StoreIdentity, small_dtype
from mfd.cache.store.journal import ImageRecord
from mfd.config import StoredDtype
from mfd.detectors import DetectorSpec, ImageFeatures
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
    small = small_dtype(dtype)
    rows = {
        "dec/query": _stored(features, "queries", features.queries, small),
        "dec/logit": _stored(features, "logits", features.logits, small),
        "dec/box": _stored(features, "boxes", features.boxes, "float32"),
    }
    tokens = [level.flatten(0, 1) for level in features.memory]
    if dtype == "int8":
        rows["enc/tokens"], rows["enc/scale"] = _quantised(features, "memory", tokens)
    else:
        rows["enc/tokens"] = _stored(features, "memory", torch.cat(tokens), dtype)
    expected = {
        "dec/query": (spec.num_queries, spec.dim),
        "dec/logit": (spec.num_queries, spec.num_logits),
        "dec/box": (spec.num_queries, 4),
        "enc/tokens": (min(len(rows["enc/tokens"]), plan.tokens), spec.dim),
    }
    c1_hw = (0, 0)
    if identity.profile == "full":
        if features.c1 is None:
            raise StoreError(
                f"image {features.image_id} comes without c1, which a store of the full profile "
                "holds; let the detector return it or choose the lite profile"
            )
        c1_hw = _size(features.c1)
        pixels = features.c1.flatten(0, 1)
        if dtype == "int8":
            rows["c1/map"], scale = _quantised(features, "c1", [pixels])
            rows["c1/scale"] = scale[0]
        else:
            rows["c1/map"] = _stored(features, "c1", pixels, dtype)
        expected["c1/map"] = (min(len(pixels), plan.pixels), spec.c1_channels)
    if len(features.memory) != len(spec.strides):
        raise StoreError(
            f"image {features.image_id} has {len(features.memory)} encoder maps, "
            f"expected {len(spec.strides)}; correct the detector's spec"
        )
    for name, shape in expected.items():
        if rows[name].shape != shape:
            raise StoreError(
                f"image {features.image_id}: {name} has shape {rows[name].shape}, expected at most "
                f"{shape}; correct the detector's spec or the sizes the store was "
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
    stored = {name: torch.from_numpy(values) for name, values in rows.items()}
    levels = stored["enc/tokens"].split([height * width for height, width in sizes.level_hw])
    memory = [m.view(*hw, spec.dim) for m, hw in zip(levels, sizes.level_hw, strict=True)]
    c1 = stored.get("c1/map")
    return ImageFeatures(
        image_id=image_id,
        original_hw=original_hw,
        input_hw=sizes.input_hw,
        queries=stored["dec/query"],
        boxes=stored["dec/box"],
        logits=stored["dec/logit"],
        memory=memory,
        c1=None if c1 is None else c1.view(*sizes.c1_hw, spec.c1_channels),
        memory_scale=stored.get("enc/scale"),
        c1_scale=stored.get("c1/scale"),
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
        raise _not_finite(features, what)
    return stored.numpy()


def _quantised(
    features: ImageFeatures, what: str, levels: Sequence[Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """The levels' values in int8, joined, and their scales (L, D), checked to be finite."""
    pairs = [quantise(level.detach().to("cpu", torch.float32)) for level in levels]
    stored, scales = torch.cat([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
    if not scales.isfinite().all():
        raise _not_finite(features, what)
    return stored.numpy(), scales.numpy()


def _not_finite(features: ImageFeatures, what: str) -> StoreError:
    return StoreError(
        f"image {features.image_id}: {what} hold NaN or infinity; look at the image and the "
        "detector's weights"
    )


def _size(level: Tensor) -> tuple[int, int]:
    return int(level.shape[0]), int(level.shape[1])
