"""What one optimisation step consumes, wherever it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mfd.headtrain.head.batch import FeatureBatch


@dataclass
class TrainingBatch:
    """Features of B images and N matched boxes on them, and their target masks.

    Attributes:
        crops: the matched objects' masks over the boxes, see `ImageObjects.crops`.
        area_ratio: the objects' areas per box area.
        keys: by which a box's random numbers are drawn at this step, see `box_keys`.
        image_names: what to call each image in an error.
        bytes_read: from the store.
        detector_seconds: that a detector in the loop took for it.
        detector_loss: of a detector that is trained too, summed over the objects, with gradients;
            None of a frozen one.
        detector_objects: how many objects it was summed over.
    """

    features: FeatureBatch
    crops: UInt8[Tensor, "N G G"]
    area_ratio: Float[Tensor, " N"]
    keys: Int64[Tensor, " N"]
    image_names: tuple[str, ...]
    bytes_read: int = 0
    detector_seconds: float = 0.0
    detector_loss: Float[Tensor, ""] | None = None
    detector_objects: int = 0

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "TrainingBatch":
        """The same batch on another device, copied asynchronously from pinned memory.

        Args:
            dtype: of maps and queries.
        """
        return replace(
            self,
            features=self.features.to(device, dtype),
            crops=self.crops.to(device, non_blocking=True),
            area_ratio=self.area_ratio.to(device, non_blocking=True),
            keys=self.keys.to(device, non_blocking=True),
        )

    def on_maps_of(self, other: "TrainingBatch") -> "TrainingBatch":
        """The same boxes on the maps of another batch of the same images."""
        return replace(self, features=self.features.on_maps_of(other.features))

    def parts(self, images: int) -> Iterator["TrainingBatch"]:
        """The batch in parts of so many images, in order; 0: itself."""
        total = len(self.image_names)
        if not 0 < images < total:
            yield self
            return
        for start in range(0, total, images):
            of_images = slice(start, start + images)
            index = self.features.image_index
            of_boxes = (index >= start) & (index < start + images)
            yield replace(
                self,
                features=self.features.part(of_images, of_boxes),
                crops=self.crops[of_boxes],
                area_ratio=self.area_ratio[of_boxes],
                keys=self.keys[of_boxes],
                image_names=self.image_names[of_images],
            )

    def pin_memory(self) -> "TrainingBatch":
        """The same batch in pages that a GPU can copy from asynchronously."""
        return replace(
            self,
            features=self.features.pin_memory(),
            crops=self.crops.pin_memory(),
            area_ratio=self.area_ratio.pin_memory(),
            keys=self.keys.pin_memory(),
        )
