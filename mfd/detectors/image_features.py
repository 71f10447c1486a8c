"""One image's detector output: what travels between detector, store and head."""

from dataclasses import dataclass, replace

from jaxtyping import Float, Num
from torch import Tensor


@dataclass
class ImageFeatures:
    """One image's detector output without padding: what a store holds per image.

    Attributes:
        image_id: COCO image id.
        original_hw: size of the image file, pixels.
        input_hw: size after the detector's resize, pixels.
        memory: one (H_l, W_l, D) map per level; of int8 if `memory_scale` is set.
        c1: (H4, W4, C), or None where the store leaves it out; of int8 if `c1_scale` is set.
        memory_scale: what each level's and channel's stored numbers are multiplied by.
        c1_scale: the same of `c1`.
    """

    image_id: int
    original_hw: tuple[int, int]
    input_hw: tuple[int, int]
    queries: Float[Tensor, "Q D"]
    boxes: Float[Tensor, "Q 4"]
    logits: Float[Tensor, "Q K"]
    memory: list[Num[Tensor, "_H _W D"]]
    c1: Num[Tensor, "H4 W4 C"] | None
    memory_scale: Float[Tensor, "L D"] | None = None
    c1_scale: Float[Tensor, " C"] | None = None

    def dequantised(self) -> "ImageFeatures":
        """The same features with all maps as floats."""
        memory, c1 = self.memory, self.c1
        if self.memory_scale is not None:
            memory = [m * scale for m, scale in zip(memory, self.memory_scale, strict=True)]
        if c1 is not None and self.c1_scale is not None:
            c1 = c1 * self.c1_scale
        return replace(self, memory=memory, c1=c1, memory_scale=None, c1_scale=None)
