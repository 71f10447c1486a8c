"""ConvNeXt blocks (arXiv:2201.03545) on channels-last maps."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.nn import FeedForward


class ConvNeXtLayer(nn.Module):
    """`x = x + scale * FFN(LN(depthwise 7x7 convolution of x))`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)  # ConvNeXt's eps
        self.feed_forward = FeedForward(dim, 4 * dim)
        self.layer_scale = nn.Parameter(torch.full((dim,), 1e-6))  # ConvNeXt's
        self._init_as_source()

    def _init_as_source(self) -> None:
        """ConvNeXt's: truncated normal weights of 0.02, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, x: Float[Tensor, "B H W D"], padding: Bool[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B H W D"]:
        """The maps after the block; the convolution reads zero on `padding` and around the maps."""
        read = x if padding is None else x.masked_fill(padding[..., None], 0)
        mixed = self.depthwise(read.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.layer_scale * self.feed_forward(self.norm(mixed))
