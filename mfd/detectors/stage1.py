"""C1 that is still to be computed: what a `lite` store leaves out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mfd.config import Precision
from mfd.detectors.compute import autocast_context, device_of
from mfd.detectors.contract import Detector
from mfd.detectors.padding import padding_step, valid_sizes
from mfd.errors import DetectorError
from mfd.images import LoadedImage, collate_images, equal_sizes, padded_size


@dataclass(frozen=True)
class C1Source:
    """What an image's stage-1 map is computed from.

    Attributes:
        detector: frozen, with `stage1`.
        image: as the detector sees it.
        precision: of the detector's matrix products.

    Raises:
        DetectorError: the detector has no `stage1`.
    """

    detector: Detector
    image: LoadedImage
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if not hasattr(self.detector, "stage1"):
            raise DetectorError(
                f"the detector {self.detector.spec.name!r} has no stage1(images, padding_mask), "
                "which lite stores need; extract with --profile full"
            )


@dataclass(frozen=True)
class PendingC1:
    """A batch of images whose stage-1 maps the detector computes when they are on its device.

    Images of one padded size pass stage 1 together, padded as when a store is extracted, so the
    maps are those that a store of the profile `full` holds, up to their edges.

    Attributes:
        detector: of all images.
        precision: of its matrix products.
        rows: which images of the batch have one padded size.
        pixels: of these images.
        padding_masks: the same, in the CPU's memory; True on padding.
    """

    detector: Detector
    precision: Precision
    rows: Sequence[Sequence[int]]
    pixels: Sequence[Float[Tensor, "_b 3 _H _W"]]
    padding_masks: Sequence[Bool[Tensor, "_b _H _W"]]

    @classmethod
    def of(cls, sources: Sequence[C1Source]) -> "PendingC1":
        """The images of a batch, by one detector, in order."""
        detector, images = sources[0].detector, [source.image for source in sources]
        step = padding_step(detector.spec)
        rows = equal_sizes([padded_size(image.input_hw, step) for image in images], len(images))
        batches = [collate_images([images[row].pixels for row in same], step) for same in rows]
        pixels, padding_masks = zip(*batches, strict=True)
        return cls(detector, sources[0].precision, rows, pixels, padding_masks)

    def each(self, function: Callable[[Tensor], Tensor]) -> "PendingC1":
        """The same with a function of the pixels, such as a copy to another device."""
        return replace(self, pixels=[function(pixels) for pixels in self.pixels])

    @torch.no_grad()
    def compute(self) -> tuple[Float[Tensor, "B H4 W4 C"], Int[Tensor, "B 2"]]:
        """The maps in float32, zeros at the right and bottom of smaller ones.

        And each image's own height and width on them, in the CPU's memory.
        """
        maps = list(map(self._stage1, self.pixels, self.padding_masks))
        sizes_hw = torch.empty(sum(map(len, self.rows)), 2, dtype=torch.long)
        for rows, padding_mask, found in zip(self.rows, self.padding_masks, maps, strict=True):
            sizes_hw[rows] = torch.tensor(valid_sizes(padding_mask, found))
        height, width = sizes_hw.amax(0).tolist()
        if (sizes_hw == sizes_hw[0]).all():  # and so in one batch
            return maps[0][:, :height, :width], sizes_hw
        padded = maps[0].new_zeros(len(sizes_hw), height, width, maps[0].shape[3])
        for rows, found in zip(self.rows, maps, strict=True):
            for row, single in zip(rows, found, strict=True):
                h, w = sizes_hw[row].tolist()
                padded[row, :h, :w] = single[:h, :w]
        return padded, sizes_hw

    def _stage1(
        self, pixels: Float[Tensor, "b 3 H W"], padding_mask: Bool[Tensor, "b H W"]
    ) -> Float[Tensor, "b H4 W4 C"]:
        device = device_of(self.detector)
        moved = pixels.to(device, memory_format=torch.channels_last, non_blocking=True)
        with autocast_context(device, self.precision):
            found: Tensor = self.detector.stage1(  # type: ignore[attr-defined]
                moved, padding_mask.to(device)
            )
        return found.float()
