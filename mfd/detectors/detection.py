"""Run the frozen detector on a batch and split the output per image."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfd.config import Precision
from mfd.detectors.check import check_output
from mfd.detectors.compute import autocast_context, device_of
from mfd.detectors.contract import Detector, DetectorOutput
from mfd.detectors.foreign import described
from mfd.detectors.image_features import ImageFeatures, copy_to_cpu
from mfd.detectors.padding import padding_step, valid_sizes
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError, MfdError
from mfd.images import LoadedImage, collate_images, equal_sizes, padded_size


def detect(
    detector: Detector,
    images: Sequence[LoadedImage],
    image_ids: Sequence[int],
    *,
    precision: Precision = "float32",
    with_c1: bool = True,
) -> list[ImageFeatures]:
    """The detector's output for every image, float32, without padding, on the detector's device.

    Images of one `padded_size` get what each would get alone, up to the rounding of the detector's
    own arithmetic, whose order of sums may depend on the batch. Maps are views of those of the
    batch where the detector gave float32.

    Args:
        detector: runs on the device its weights are on.
        images: one batch.
        image_ids: what errors and the result call the images.
        precision: the element type of the detector's matrix products.
        with_c1: whether the stage-1 map is kept, if there is one.

    Raises:
        DetectorError: the detector raises, or gives an output that is not what the spec says.
    """
    device = device_of(detector)
    step = padding_step(detector.spec)
    batch, padding_mask = collate_images([image.pixels for image in images], step)
    with torch.no_grad(), autocast_context(device, precision):
        pixels = batch.to(device, memory_format=torch.channels_last)
        output = _forward(detector, pixels, padding_mask.to(device))
    return split_images(output, detector.spec, images, image_ids, padding_mask, with_c1=with_c1)


def _forward(detector: Any, pixels: Tensor, padding_mask: Tensor) -> Any:
    """The detector's output; what its code raises in one line."""
    try:
        return detector(pixels, padding_mask)
    except (MfdError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        shape = " x ".join(map(str, pixels.shape))
        raise DetectorError(
            f"detector {detector.spec.name!r} failed on images of shape {shape}: "
            f"{described(error)}; correct its forward"
        ) from error


def split_images(
    output: DetectorOutput,
    spec: DetectorSpec,
    images: Sequence[LoadedImage],
    image_ids: Sequence[int],
    padding_mask: Bool[Tensor, "B H W"],
    *,
    with_c1: bool = True,
) -> list[ImageFeatures]:
    """A batch's output as that of each image, float32, without padding; see `detect`.

    Args:
        padding_mask: of the batch, in the CPU's memory.

    Raises:
        DetectorError: an output that is not what the spec says.
    """
    batch, height, width = padding_mask.shape
    check_output(output, spec, (batch, height, width))
    level_sizes = [valid_sizes(padding_mask, level) for level in output.memory]
    c1 = output.c1 if with_c1 else None
    c1_sizes = [] if c1 is None else valid_sizes(padding_mask, c1)
    return [
        ImageFeatures(
            image_id=image_id,
            original_hw=image.original_hw,
            input_hw=image.input_hw,
            queries=output.queries[row].float(),
            boxes=output.boxes[row].float(),
            logits=output.logits[row].float(),
            memory=[
                _crop(level[row], sizes[row])
                for level, sizes in zip(output.memory, level_sizes, strict=True)
            ],
            c1=None if c1 is None else _crop(c1[row], c1_sizes[row]),
        )
        for row, (image, image_id) in enumerate(zip(images, image_ids, strict=True))
    ]


def detect_all(
    detector: Detector,
    images: Sequence[LoadedImage],
    image_ids: Sequence[int],
    batch_size: int,
    *,
    precision: Precision = "float32",
    with_c1: bool = True,
    finish: Callable[[list[ImageFeatures]], list[ImageFeatures]] = copy_to_cpu,
) -> list[ImageFeatures]:
    """As `detect`, in batches of one padded size each; the images keep their order.

    Args:
        finish: what becomes of a batch's features before the next one is computed. It copies them
            to the CPU, so that the device has to hold those of one batch only.
    """
    found: dict[int, ImageFeatures] = {}
    sizes = [padded_size(image.input_hw, padding_step(detector.spec)) for image in images]
    for batch in equal_sizes(sizes, batch_size):
        chosen, ids = [images[i] for i in batch], [image_ids[i] for i in batch]
        features = detect(detector, chosen, ids, precision=precision, with_c1=with_c1)
        found |= zip(batch, finish(features), strict=True)
    return [found[i] for i in range(len(images))]


def _crop(level: Float[Tensor, "H W D"], size_hw: tuple[int, int]) -> Float[Tensor, "_h _w D"]:
    return level[: size_hw[0], : size_hw[1]].float()
