"""A tiny detector's spec and random features, for the tests of the store."""

import hashlib
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import torch

from mfd.cache import StoreIdentity, StoreImage, StoreWriter, encode_features
from mfd.config import StoredDtype
from mfd.detectors.image_features import ImageFeatures
from mfd.detectors.spec import DetectorSpec
from mfd.images.preprocessing import Preprocessing

SPEC = DetectorSpec(
    name="tiny",
    dim=12,
    strides=(16, 32),
    num_queries=7,
    category_ids=(1, 3, 90),
    c1_channels=5,
    weights_digest="ab" * 32,
    preprocessing=Preprocessing(shorter_side=75, longer_side=133),
)


def make_identity(count: int = 35, spec: DetectorSpec = SPEC, **fields: object) -> StoreIdentity:
    """The identity of `count` images of odd sizes with gaps in their ids."""
    images = tuple(
        StoreImage(
            image_id=3 * n + 5,
            file_name=f"part {n % 3}/größe_{n}.jpg",
            original_hw=(41 + 7 * (n % 5), 67 - 11 * (n % 4)),
            sha256=hashlib.sha256(str(n).encode()).hexdigest(),
        )
        for n in range(count)
    )
    return StoreIdentity(**{"spec": spec, "split": "train", "images": images, **fields})


def make_features(
    image: StoreImage, spec: DetectorSpec = SPEC, input_hw: tuple[int, int] | None = None
) -> ImageFeatures:
    """Features that depend on the image id alone, and on their size."""
    generator = torch.Generator().manual_seed(image.image_id)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    side = spec.preprocessing
    short, long = sorted(image.original_hw)
    scale = min(side.shorter_side / short, side.longer_side / long)
    height, width = input_hw or side.size_hw or (round(n * scale) for n in image.original_hw)
    return ImageFeatures(
        image_id=image.image_id,
        original_hw=image.original_hw,
        input_hw=(height, width),
        queries=normal(spec.num_queries, spec.dim),
        boxes=normal(spec.num_queries, 4).sigmoid(),
        logits=normal(spec.num_queries, spec.num_logits),
        memory=[normal(ceil(height / s), ceil(width / s), spec.dim) for s in spec.strides],
        c1=normal(
            ceil(height / spec.c1_stride), ceil(width / spec.c1_stride), spec.c1_channels
        ).relu(),
    )


def features_of(
    images: Sequence[StoreImage], spec: DetectorSpec = SPEC, dtype: StoredDtype = "float16"
) -> list[ImageFeatures]:
    """The features of several images, encoded."""
    return [encode_features(make_features(image, spec), dtype) for image in images]


def make_store(root: Path, *, finished: bool = True, **fields: object) -> Path:
    """The folder of a store of three images."""
    with StoreWriter.open(root, make_identity(3, **fields)) as writer:
        if finished:
            writer.write(0, features_of(writer.images(0), dtype=writer.identity.dtype))
            writer.finish()
        return writer.path
