"""Swin Transformer (arXiv:2103.14030) as detectors use it: any input size, padding unmasked."""

from itertools import pairwise
from typing import ClassVar, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from mfd.detectors.keys import Renames
from mfd.nn import SwinLayer, keep_state_names

STATE_NAMES = {
    "attention_norm": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.output_proj": "attn.proj",
    "attention.relative_bias": "attn.relative_position_bias_table",
    "feed_forward_norm": "norm2",
    "feed_forward.linear1": "mlp.fc1",
    "feed_forward.linear2": "mlp.fc2",
}
"""What the official code, and so every checkpoint, calls the parts of a block."""


class Swin(nn.Module):
    """A Swin whose stage 1 has stride 4 and whose stages 2 to 4 are the levels 8, 16 and 32.

    The levels pass through a LayerNorm each; the stage-1 map does not.
    """

    official_names: ClassVar[Renames] = (
        (r"^norms\.(\d)", lambda found: f"norm{int(found[1]) + 1}"),
    )

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


def swin_large(window: int) -> Swin:
    """A Swin-L with windows of this side and random weights."""
    return Swin(embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=window)


class PatchEmbed(nn.Module):
    """4 x 4 pixels to one token; zeros fill the last patches on the right and below."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H4 W4 D"]:
        height, width = images.shape[-2:]
        rows, columns = -(-height // 4), -(-width // 4)
        images = pad(images, (0, 4 * columns - width, 0, 4 * rows - height))
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2 x 2 cells to one of twice the width; zeros complete odd sides on the right and below."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H2 W2 D2"]:
        batch, height, width, dim = x.shape
        rows, columns = -(-height // 2), -(-width // 2)
        x = pad(x, (0, 0, 0, 2 * columns - width, 0, 2 * rows - height))
        corners = x.view(batch, rows, 2, columns, 2, dim).permute(0, 1, 3, 4, 2, 5)
        return self.reduction(self.norm(corners.reshape(batch, rows, columns, 4 * dim)))


class Stage(nn.Module):
    """Blocks of one width; every second one has its windows shifted by half a window."""

    def __init__(self, dim: int, depth: int, heads: int, window: int, merges: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            SwinLayer(dim, heads, window, shifted=bool(number % 2)) for number in range(depth)
        )
        for block in self.blocks:
            keep_state_names(block, STATE_NAMES)
        self.downsample = PatchMerging(dim) if merges else nn.Identity()

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        """The blocks' output, before `downsample`."""
        for block in self.blocks:
            x = block(x)
        return x
