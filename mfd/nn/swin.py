"""Swin transformer blocks (arXiv:2103.14030) on maps of any size, as detectors use them.

Not Transformers' Swin, which shrinks the window and drops the shift on maps smaller than a window.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.overrides import wrap_torch_function

from mfd.nn.mlp import FeedForward
from mfd.nn.products import Linear

SHIFT_MASK = -100.0  # Swin's, added to the logits of cells that must not meet


class SwinLayer(nn.Module):
    """`x = x + W-MSA(LN(x)); x = x + FFN(LN(x))`, attention within (shifted) windows."""

    def __init__(self, dim: int, num_heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, num_heads, window, window // 2 if shifted else 0)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, 4 * dim)
        self._init_as_source()

    def _init_as_source(self) -> None:
        """Swin's: truncated normal weights of 0.02, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """The maps after attention and feed-forward network."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class WindowAttention(nn.Module):
    """Attention among the T = window^2 cells of each window, with a bias per relative place."""

    relative_index: Tensor

    def __init__(self, dim: int, num_heads: int, window: int, shift: int) -> None:
        """Make it with random weights.

        Args:
            dim: D.
            num_heads: M.
            window: its side, cells.
            shift: how far windows are moved to the right and down, cells; 0 or window // 2.
        """
        super().__init__()
        self.num_heads, self.window, self.shift = num_heads, window, shift
        self.qkv = Linear(dim, 3 * dim)
        self.output_proj = Linear(dim, dim)
        self.relative_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_bias, std=0.02)  # Swin's
        self.register_buffer("relative_index", relative_index(window), persistent=False)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """Each cell after attention to its window.

        Zeros fill the last windows on the right and below; they can be attended to.
        """
        height, width = x.shape[1:3]
        rows, columns = -(-height // self.window), -(-width // self.window)
        windows = to_windows(x, self.window, self.shift)
        windows = self._attend(windows, rows, columns)
        return from_windows(windows, (height, width), self.window, self.shift)

    def _attend(
        self, windows: Float[Tensor, "B G T D"], rows: int, columns: int
    ) -> Float[Tensor, "B G T D"]:
        batch, groups, cells, dim = windows.shape
        qkv = self.qkv(windows).view(batch, groups, cells, 3, self.num_heads, dim // self.num_heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # 3, B, G, M, T, D / M
        bias = self.relative_bias[self.relative_index].permute(2, 0, 1)[None]  # 1, M, T, T
        if not self.shift:
            query, key, value = qkv.flatten(1, 2)
        else:  # one mask per window: windows count as heads, so that images share it
            query, key, value = qkv.flatten(2, 3)
            mask = shift_mask(rows, columns, self.window, windows.device)
            bias = (bias + mask[:, None]).flatten(0, 1)[None]
        out = scaled_dot_product_attention(query, key, value, bias.to(query.dtype))
        out = out.view(batch, groups, self.num_heads, cells, dim // self.num_heads)
        return self.output_proj(out.transpose(2, 3).reshape(windows.shape))


@wrap_torch_function(lambda x, window, shift: (x,))
def to_windows(x: Float[Tensor, "B H W D"], window: int, shift: int) -> Float[Tensor, "B G T D"]:
    """The cells of each window, line by line; zeros fill the last ones on the right and below."""
    batch, height, width, dim = x.shape
    rows, columns = -(-height // window), -(-width // window)
    x = pad(x, (0, 0, 0, columns * window - width, 0, rows * window - height))
    x = x.roll((-shift, -shift), (1, 2)) if shift else x
    x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3)
    return x.reshape(batch, rows * columns, window * window, dim)


@wrap_torch_function(lambda windows, size_hw, window, shift: (windows,))
def from_windows(
    windows: Float[Tensor, "B G T D"], size_hw: tuple[int, int], window: int, shift: int
) -> Float[Tensor, "B H W D"]:
    """The maps of a size from which `to_windows` made the windows."""
    (height, width), (batch, _, _, dim) = size_hw, windows.shape
    rows, columns = -(-height // window), -(-width // window)
    x = windows.view(batch, rows, columns, window, window, dim).transpose(2, 3)
    x = x.reshape(batch, rows * window, columns * window, dim)
    x = x.roll((shift, shift), (1, 2)) if shift else x
    return x[:, :height, :width]


def relative_index(window: int) -> Int[Tensor, "T T"]:
    """The row of the bias table for each (query, key) pair of a window's cells."""
    cells = torch.arange(window, device="cpu")  # real even where the weights are meta tensors
    places = torch.cartesian_prod(cells, cells)  # T, (row, column)
    rows, columns = (places[:, None] - places[None]).add(window - 1).unbind(-1)
    return rows * (2 * window - 1) + columns


def shift_mask(
    rows: int, columns: int, window: int, device: torch.device
) -> Float[Tensor, "G T T"]:
    """What keeps cells apart that share a shifted window but were not neighbours before.

    Args:
        rows: of windows.
        columns: of windows.
        window: its side, cells.
        device: where it is wanted.
    """

    def wrapped(count: int) -> Int[Tensor, "G T"]:
        """1 for the last window's cells that came round from the map's other end, else 0."""
        cell = torch.arange(count * window, device=device)
        return (cell >= count * window - window // 2).int().view(count, window)

    part = wrapped(rows)[:, None, :, None] * 2 + wrapped(columns)[None, :, None]
    part = part.flatten(2).flatten(0, 1)  # G, T
    return (part[:, :, None] != part[:, None]) * SHIFT_MASK
