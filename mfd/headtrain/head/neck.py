"""The neck of eq. 14, GroupNorm(1x1 convolution of C1), on whole maps or on regions of them.

GroupNorm's statistics are those of the whole map. The convolution is linear, so they follow from
the mean and covariance of C1's channels, and with them the neck is one affine map per image: it
can be applied to RoIAlign's output instead of its input, and to few boxes that is far cheaper.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.headtrain.head.padding import valid_pixels
from mfd.nn import Linear, linear

NUM_GROUPS = 32
"""GroupNorm's groups, fewer where the width is not a multiple of it."""

_CENTRED_ON_CPU, _CENTRED_ON_GPU = 2**18, 2**26
"""Values that are centred at a time: on a CPU they stay in its cache, which takes a third to a half
of the time off; a GPU has few kernels to launch, and less memory to find."""


@dataclass
class ChannelMoments:
    """Mean and covariance of a map's channels over each image's own pixels."""

    mean: Float[Tensor, "B C"]
    covariance: Float[Tensor, "B C C"]

    @classmethod
    def of(cls, maps: Float[Tensor, "B H W C"], sizes_hw: Int[Tensor, "B 2"]) -> "ChannelMoments":
        """The moments of maps whose padding is zero, in float32 or better.

        They carry gradients if the maps do, which those of a frozen detector do not.
        """
        with torch.autocast(maps.device.type, enabled=False):
            values = maps.flatten(1, 2)
            exact = torch.float64 if values.dtype == torch.float64 else torch.float32
            pixels = sizes_hw.prod(1).to(exact)[:, None]
            mean = values.sum(1, dtype=exact) / pixels
            valid = valid_pixels(sizes_hw, *maps.shape[1:3]).flatten(1)
            covariance = mean.new_zeros(*mean.shape, mean.shape[1])
            at_once = _CENTRED_ON_CPU if values.is_cpu else _CENTRED_ON_GPU
            step = max(1, at_once // mean.numel())
            for part, own in zip(values.split(step, 1), valid.split(step, 1), strict=True):
                centred = (part - mean[:, None]) * own[..., None]
                covariance = covariance.baddbmm(centred.transpose(1, 2), centred)
        return cls(mean, covariance / pixels[..., None])


class Neck(nn.Module):
    """1x1 convolution with bias, then GroupNorm over each image's own pixels."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.convolution = Linear(in_dim, out_dim)
        self.norm = nn.GroupNorm(math.gcd(NUM_GROUPS, out_dim), out_dim)
        nn.init.xavier_uniform_(self.convolution.weight)  # as Deformable DETR's input projections
        nn.init.zeros_(self.convolution.bias)

    def forward(
        self, c1: Float[Tensor, "B H W C"], sizes_hw: Int[Tensor, "B 2"]
    ) -> Float[Tensor, "B H W D"]:
        """The neck on maps; their padding is ignored, and zero in the result."""
        x = self.convolution(c1)
        valid = valid_pixels(sizes_hw, *c1.shape[1:3])[..., None, None]
        groups = x.unflatten(-1, (self.norm.num_groups, -1)).float()
        values = (sizes_hw.prod(1) * groups.shape[-1]).view(-1, 1, 1, 1, 1)
        mean = groups.masked_fill(~valid, 0).sum((1, 2, 4), keepdim=True) / values
        centred = (groups - mean).masked_fill(~valid, 0)
        variance = centred.square().sum((1, 2, 4), keepdim=True) / values
        normed = (centred * (variance + self.norm.eps).rsqrt()).flatten(-2)
        return (normed * self.norm.weight + self.norm.bias).masked_fill(~valid[..., 0], 0)

    def on_regions(
        self,
        regions: Float[Tensor, "N s s C"],
        inside: Float[Tensor, "N s s 1"],
        image_index: Int[Tensor, " N"],
        moments: ChannelMoments,
    ) -> Float[Tensor, "N s s D"]:
        """RoIAlign of the neck's maps from RoIAlign of C1.

        Args:
            regions: RoIAlign of C1.
            inside: RoIAlign of a map of ones: less than one where a box leaves the image.
            moments: of C1.
        """
        scale, shift = self._affine(moments)
        x = linear(regions, self.convolution.weight)
        scale, shift = (affine[image_index].to(x)[:, None, None] for affine in (scale, shift))
        return x * scale + inside * shift

    def _affine(self, moments: ChannelMoments) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Scale and shift of each image and channel that convolution bias and GroupNorm make."""
        with torch.autocast(moments.mean.device.type, enabled=False):
            weight = self.convolution.weight
            mean = moments.mean @ weight.T + self.convolution.bias  # (B, D)
            variance = ((weight @ moments.covariance) * weight).sum(-1)  # (B, D)
            by_group = mean.unflatten(1, (self.norm.num_groups, -1))  # (B, G, D / G)
            group_mean = by_group.mean(-1, keepdim=True)
            spread = (by_group - group_mean).square() + variance.view_as(by_group)
            group_variance = spread.mean(-1, keepdim=True).expand_as(by_group).flatten(1)
            scale = self.norm.weight * (group_variance + self.norm.eps).rsqrt()
            offset = self.convolution.bias - group_mean.expand_as(by_group).flatten(1)
            return scale, self.norm.bias + offset * scale
