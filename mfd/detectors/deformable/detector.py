"""The network as the contract of `mfd.detectors` wants it."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from mfd.detectors.contract import DetectorOutput
from mfd.detectors.deformable.model import DeformableDetr, Predictions
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError


class DeformableDetector(nn.Module):
    """A `DeformableDetr` as the contract of `mfd.detectors` wants it; convolves channels last."""

    def __init__(self, network: DeformableDetr, spec: DetectorSpec) -> None:
        """Join the two.

        Raises:
            DetectorError: if the network has no encoder layer `spec.encoder_layer`.
        """
        super().__init__()
        if not 1 <= spec.encoder_layer <= (layers := network.config.encoder_layers):
            raise DetectorError(
                f"{spec.name} has no encoder layer {spec.encoder_layer}; choose 1 to {layers}"
            )
        self.network: DeformableDetr = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.spec = spec

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput:
        """The last decoder layer's queries, and the encoder maps of `spec.encoder_layer`.

        Images with fewer cells than there are queries get more padding below while it runs.
        """
        return self.run(images, padding_mask)[1]

    def run(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> tuple[Predictions, DetectorOutput]:
        """Everything that the network computes, and of it what `forward` gives."""
        height = images.shape[-2]
        images, padding_mask = self._enough_cells(images, padding_mask)
        found = self.network(images.contiguous(memory_format=torch.channels_last), padding_mask)
        maps = found.geometry.split(found.encoder[self.spec.encoder_layer - 1])
        maps.append(found.c1.permute(0, 2, 3, 1))
        if images.shape[-2] != height:  # rows that were added
            strides = (*self.spec.strides, self.spec.c1_stride)
            maps = [m[:, : -(-height // stride)] for m, stride in zip(maps, strides, strict=True)]
        return found, DetectorOutput(
            queries=found.queries[-1],
            boxes=found.boxes[-1],
            logits=found.logits[-1],
            memory=maps[:-1],
            c1=maps[-1],
        )

    def stage1(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H4 W4 C"]:
        """The stage-1 map alone; backbones never look at the padding mask."""
        rows = -(-images.shape[2] // self.spec.c1_stride)
        images, _ = self._enough_cells(images, padding_mask)
        return self.network.backbone.stage1(images).permute(0, 2, 3, 1)[:, :rows]

    def _enough_cells(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> tuple[Float[Tensor, "B 3 H2 W"], Bool[Tensor, "B H2 W"]]:
        stride = self.spec.strides[0]
        rows, columns = (-(-side // stride) for side in images.shape[-2:])
        missing = -(-self.spec.num_queries // columns) - rows
        if missing <= 0:
            return images, padding_mask
        below = (0, 0, 0, (rows + missing) * stride - images.shape[-2])
        return pad(images, below), pad(padding_mask, below, value=True)
