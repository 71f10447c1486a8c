"""Swin transformer blocks (arXiv:2103.14030) on maps of any size."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from mfd.headtrain.head.feed_forward import FeedForward


class SwinLayer(nn.Module):
    """`x = x + W-MSA(LN(x)); x = x + FFN(LN(x))`, attention within (shifted) windows.

    Maps are filled up with zeros to whole windows at the right and bottom, as Swin does for
    detection; what is filled in can be attended to.
    """

    def __init__(self, dim: int, num_heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, num_heads, window)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)
        self._init_as_source()

    def _init_as_source(self) -> None:
        """Swin's: truncated normal weights of 0.02, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """The maps after attention and feed-forward network; maps have no padding."""
        x = x + self._attend(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))

    def _attend(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        batch, height, width, dim = x.shape
        window, shift = self.window, self.shift
        x = pad(x, (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = x.shape[1] // window, x.shape[2] // window
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
        x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3)
        windows = x.reshape(batch, rows * columns, window * window, dim)
        windows = self.attention(windows, self._neighbours(rows, columns, x.device))
        x = windows.view(batch, rows, columns, window, window, dim).transpose(2, 3)
        x = x.reshape(batch, rows * window, columns * window, dim)
        if shift:
            x = x.roll((shift, shift), (1, 2))
        return x[:, :height, :width]

    def _neighbours(
        self, rows: int, columns: int, device: torch.device
    ) -> Bool[Tensor, "G T T"] | None:
        """Which tokens of each of G windows lie side by side in the map that was not shifted."""
        if not self.shift:
            return None

        def parts(count: int) -> Int[Tensor, "G T"]:
            """1 for the last window's pixels that came round from the map's other end, else 0."""
            pixel = torch.arange(count * self.window, device=device)
            return (pixel >= count * self.window - self.shift).long().view(count, self.window)

        part = parts(rows)[:, None, :, None] * 2 + parts(columns)[None, :, None]
        part = part.flatten(2).flatten(0, 1)  # (G, T)
        return part[:, :, None] == part[:, None]


class WindowAttention(nn.Module):
    """Multi-head self-attention with a learned bias for every relative position in a window."""

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.output_proj = nn.Linear(dim, dim)
        self.relative_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_bias, std=0.02)  # Swin's
        pixel = torch.arange(window)
        offset = pixel[:, None] - pixel + window - 1  # 0 .. 2 * window - 2
        index = offset[:, None, :, None] * (2 * window - 1) + offset[None, :, None]
        self.relative_index: Tensor
        self.register_buffer("relative_index", index.flatten(2).flatten(0, 1), persistent=False)

    def forward(
        self, windows: Float[Tensor, "B G T D"], neighbours: Bool[Tensor, "G T T"] | None
    ) -> Float[Tensor, "B G T D"]:
        """Attention within each of G windows of T tokens, between neighbours only where given."""
        batch, groups, tokens, dim = windows.shape
        qkv = self.qkv(windows).view(
            batch * groups, tokens, 3, self.num_heads, dim // self.num_heads
        )
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B * G, M, T, C) each
        bias = self.relative_bias[self.relative_index].permute(2, 0, 1)[None]  # (1, M, T, T)
        if neighbours is not None:
            bias = bias.masked_fill(~neighbours[:, None], float("-inf")).repeat(batch, 1, 1, 1)
        attended = scaled_dot_product_attention(query, key, value, bias.to(query.dtype))
        return self.output_proj(attended.transpose(1, 2).reshape(windows.shape))
