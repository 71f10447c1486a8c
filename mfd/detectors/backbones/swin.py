"""Swin Transformer (arXiv:2103.14030) as detectors use it: any input size, padding unmasked.

Not Transformers' Swin, which shrinks the window and drops the shift on maps smaller than a window.
"""

import re
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

SHIFT_MASK = -100.0


class Swin(nn.Module):
    """A Swin whose stage 1 has stride 4 and whose stages 2 to 4 are the levels 8, 16 and 32.

    The levels pass through a LayerNorm each; the stage-1 map does not.
    """

    def __init__(
        self, embed_dim: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int
    ) -> None:
        """Make it with random weights.

        Args:
            embed_dim: channels of stage 1; they double with each stage.
            depths: blocks in each stage.
            heads: of the attention in each stage.
            window: its side, cells.
        """
        super().__init__()
        widths = [embed_dim * 2**stage for stage in range(len(depths))]
        self.patch_embed = PatchEmbed(embed_dim)
        self.layers = nn.ModuleList(
            Stage(width, depth, count, window, merges=stage + 1 < len(depths))
            for stage, (width, depth, count) in enumerate(zip(widths, depths, heads, strict=True))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])
        self.c1_channels = widths[0]
        self.channels = tuple(widths[1:])

    def stage1(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H4 W4"]:
        """The output of the blocks of stage 1, before patches are merged, without norm."""
        return self.layers[0](self.patch_embed(images)).permute(0, 3, 1, 2)

    def levels(self, c1: Float[Tensor, "B C H4 W4"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """The normed outputs of the later stages, given that of stage 1."""
        x, maps = c1.permute(0, 2, 3, 1), []
        for (before, stage), norm in zip(pairwise(self.layers), self.norms, strict=True):
            x = stage(cast(Stage, before).downsample(x))
            maps.append(norm(x).permute(0, 3, 1, 2))
        return maps

    @staticmethod
    def official_name(name: str) -> str:
        """The name in the official detectors' checkpoints of a weight here."""
        return re.sub(r"^norms\.(\d)", lambda m: f"norm{int(m[1]) + 1}", name)


class PatchEmbed(nn.Module):
    """4 x 4 pixels to one token; zeros fill the last patches on the right and below."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H4 W4 D"]:
        height, width = images.shape[-2:]
        images = pad(images, (0, -width % 4, 0, -height % 4))
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2 x 2 cells to one of twice the width; zeros complete odd sides on the right and below."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H2 W2 D2"]:
        x = pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class Stage(nn.Module):
    """Blocks of one width; every second one has its windows shifted by half a window."""

    def __init__(self, dim: int, depth: int, heads: int, window: int, merges: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            Block(dim, heads, window, shift=window // 2 if number % 2 else 0)
            for number in range(depth)
        )
        self.downsample = PatchMerging(dim) if merges else nn.Identity()

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """The blocks' output, before `downsample`."""
        mask = shift_mask(x, self.window)
        for block in self.blocks:
            x = block(x, mask)
        return x


class Block(nn.Module):
    """Window attention and an MLP, each on a normed input and added to it."""

    def __init__(self, dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(
        self, x: Float[Tensor, "B H W D"], mask: Float[Tensor, "G 1 T T"]
    ) -> Float[Tensor, "B H W D"]:
        """The map after the block; zeros that fill the last windows take part unmasked."""
        batch, height, width, dim = x.shape
        side, shift = self.window, self.shift
        y = pad(self.norm1(x), (0, 0, 0, -width % side, 0, -height % side))
        y = torch.roll(y, (-shift, -shift), (1, 2)) if shift else y
        rows, columns = y.shape[1] // side, y.shape[2] // side
        y = y.view(batch, rows, side, columns, side, dim).transpose(2, 3)
        y = self.attn(y.reshape(batch, rows * columns, side * side, dim), mask if shift else None)
        y = y.view(batch, rows, columns, side, side, dim).transpose(2, 3)
        y = y.reshape(batch, rows * side, columns * side, dim)
        y = torch.roll(y, (shift, shift), (1, 2)) if shift else y
        x = x + y[:, :height, :width]
        return x + self.mlp["fc2"](gelu(self.mlp["fc1"](self.norm2(x))))


class WindowAttention(nn.Module):
    """Attention among the T = window^2 cells of each window, with a bias per relative place."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_index(window), persistent=False)

    def forward(
        self, x: Float[Tensor, "B G T D"], mask: Float[Tensor, "G 1 T T"] | None
    ) -> Float[Tensor, "B G T D"]:
        """Each window's cells after attention.

        Args:
            x: G windows per image.
            mask: added to the attention logits, per window.
        """
        batch, windows, cells, dim = x.shape
        qkv = self.qkv(x).view(batch, windows, cells, 3, self.heads, dim // self.heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # 3, B, G, M, T, D / M
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.permute(2, 0, 1)[None]  # 1, M, T, T
        if mask is None:
            query, key, value = qkv.flatten(1, 2)
        else:  # one mask per window: windows count as heads, so that images share it
            query, key, value = qkv.flatten(2, 3)
            bias = (bias + mask).flatten(0, 1)[None]
        out = scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        out = out.view(batch, windows, self.heads, cells, dim // self.heads)
        return self.proj(out.transpose(2, 3).reshape(batch, windows, cells, dim))


def relative_index(window: int) -> Int[Tensor, "T T"]:
    """The row of the bias table for each (query, key) pair of a window's cells."""
    cells = torch.arange(window, device="cpu")  # real even where the weights are meta tensors
    places = torch.cartesian_prod(cells, cells)  # T, (row, column)
    rows, columns = (places[:, None] - places[None]).add(window - 1).unbind(-1)
    return rows * (2 * window - 1) + columns


def shift_mask(x: Float[Tensor, "B H W D"], window: int) -> Float[Tensor, "G 1 T T"]:
    """What keeps cells apart that share a shifted window but were not neighbours before."""
    height, width = (side + -side % window for side in x.shape[1:3])
    row, column = (_shift_region(side, window, x.device) for side in (height, width))
    regions = (3 * row[:, None] + column).view(height // window, window, width // window, window)
    regions = regions.transpose(1, 2).reshape(-1, window * window)
    apart = regions[:, None, :] != regions[:, :, None]
    return (apart.to(x.dtype) * SHIFT_MASK)[:, None]


def _shift_region(side: int, window: int, device: torch.device) -> Int[Tensor, " N"]:
    """0 before the last window, 1 in its first half, 2 in the half that was rolled there."""
    place = torch.arange(side, device=device)
    return (place >= side - window).int() + (place >= side - window // 2).int()
