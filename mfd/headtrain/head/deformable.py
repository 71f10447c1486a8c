"""Deformable encoder blocks (Deformable DETR, arXiv:2010.04159, eq. 3 and appendix)."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mfd.headtrain.head.feed_forward import FeedForward
from mfd.kernels import ms_deform_attn_fused


class MSDeformAttn(nn.Module):
    """Multi-scale deformable attention: each head looks at P points of each of L maps."""

    def __init__(self, dim: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        points = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(dim, points * 2)
        self.attention_weights = nn.Linear(dim, points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._init_as_source()

    def _init_as_source(self) -> None:
        """Deformable DETR's: a head's point p lies p pixels away on its ray, equal weights."""
        heads, points = self.num_heads, self.num_points
        angle = torch.arange(heads) * (2 * math.pi / heads)
        ray = torch.stack([angle.cos(), angle.sin()], -1)
        ray = ray / ray.abs().amax(-1, keepdim=True)  # heads 0, 2, 4 ... meet whole pixels
        radius = torch.arange(1, points + 1, dtype=ray.dtype)
        rings = (ray[:, None, None] * radius[:, None]).expand(-1, self.num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(rings.flatten())
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Float[Tensor, "B Q D"],
        reference_points: Float[Tensor, "#B Q L 2"],
        tokens: Float[Tensor, "B S D"],
        spatial_shapes: Int[Tensor, "L 2"],
        valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """What each query reads from the maps.

        Args:
            reference_points: (x, y); 0 and 1 are the edges of the map with its padding.
            tokens: the maps, each flattened row by row, joined.
            spatial_shapes: (H, W) of each map, pixels.
            valid: false on padding, which reads zero; None: there is none.
        """
        batch, heads = len(query), self.num_heads
        points = self.num_levels * self.num_points
        value = self.value_proj(tokens)
        if valid is not None:
            value = value.masked_fill(~valid[..., None], 0)
        sampled = ms_deform_attn_fused(
            value.unflatten(-1, (heads, value.shape[-1] // heads)),
            spatial_shapes,
            self.sampling_offsets(query).unflatten(-1, (heads, points, 2)),
            self.attention_weights(query).unflatten(-1, (heads, points)),
            reference_points.expand(batch, -1, -1, -1),
        )
        return self.output_proj(sampled.flatten(2))


class DeformableLayer(nn.Module):
    """`x = LN(x + MSDeformAttn(x + position, x)); x = LN(x + FFN(x))`."""

    def __init__(self, dim: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.attention = MSDeformAttn(dim, num_heads, num_levels, num_points)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)
        self.feed_forward.init_xavier()
        self.feed_forward_norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: Float[Tensor, "B S D"],
        position: Float[Tensor, "#B S D"],
        reference_points: Float[Tensor, "#B S L 2"],
        spatial_shapes: Int[Tensor, "L 2"],
        valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B S D"]:
        """The tokens after attention and feed-forward network; arguments as `MSDeformAttn`'s."""
        attended = self.attention(x + position, reference_points, x, spatial_shapes, valid)
        x = self.attention_norm(x + attended)
        return self.feed_forward_norm(x + self.feed_forward(x))
