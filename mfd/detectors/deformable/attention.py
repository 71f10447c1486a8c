"""Multi-scale deformable attention with its four projections."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mfd.kernels import ms_deform_attn_fused


class DeformableAttention(nn.Module):
    """Each query sums a few bilinear samples of every level, at places and weights it predicts.

    Deformable DETR (arXiv:2010.04159), equation 3.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._reset()

    def _reset(self) -> None:
        """Start with equal weights, and samples on a ray of its own for every head."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        rays = torch.stack((angles.cos(), angles.sin()), dim=-1)
        rays = rays / rays.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        offsets = rays[:, None, None] * steps[:, None]  # heads, 1, points, 2
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Float[Tensor, "B Q D"],
        references: Float[Tensor, "B Q L R"],
        tokens: Float[Tensor, "B S D"],
        padding: Bool[Tensor, "B S"],
        spatial_shapes: Int[Tensor, "L 2"],
    ) -> Float[Tensor, "B Q D"]:
        """What every query reads from the tokens.

        Args:
            query: content plus position.
            references: (x, y) around which to sample, with offsets in pixels of the level; or
                (centre x, centre y, width, height), with offsets in units of half the box,
                divided by P. 0 and 1 are the edges of the padded maps.
            tokens: the maps, each flattened row by row and joined.
            padding: tokens that read zero, as the surroundings of the maps do.
            spatial_shapes: (H, W) of each map, pixels.
        """
        batch, count, _ = query.shape
        samples = self.levels * self.points
        value = self.value_proj(tokens).masked_fill(padding[..., None], 0.0)
        value = value.view(batch, -1, self.heads, value.shape[-1] // self.heads)
        offsets = self.sampling_offsets(query).view(batch, count, self.heads, samples, 2)
        logits = self.attention_weights(query).view(batch, count, self.heads, samples)
        if references.shape[-1] == 4:
            offsets = offsets * self._half_boxes(references, spatial_shapes)[:, :, None]
        centres = references[..., :2].contiguous()
        read = ms_deform_attn_fused(value, spatial_shapes, offsets, logits, centres)
        return self.output_proj(read.flatten(-2))

    def _half_boxes(
        self, references: Float[Tensor, "B Q L 4"], spatial_shapes: Int[Tensor, "L 2"]
    ) -> Float[Tensor, "B Q LP 2"]:
        """Half of each box over P, in pixels of each level, repeated for the points."""
        pixels = spatial_shapes.flip(-1).to(references)
        return (references[..., 2:] * pixels * (0.5 / self.points)).repeat_interleave(
            self.points, dim=2
        )
