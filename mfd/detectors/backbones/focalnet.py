"""FocalNet (arXiv:2203.11926), from Transformers, with the norms that detectors add."""

from itertools import pairwise
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors.keys import Renames


class FocalNet(nn.Module):
    """A FocalNet whose four stages, normed, are the levels 4, 8, 16 and 32.

    Convolutional embedding, post-norm blocks with layer scale, normalised modulator. The stage-1
    map itself is not normed.
    """

    official_names: ClassVar[Renames] = (
        (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
        (r"^embeddings\.norm", "patch_embed.norm"),
        (r"^stages\.(\d)\.layers", r"layers.\1.blocks"),
        (r"^stages\.(\d)\.downsample\.projection", r"layers.\1.downsample.proj"),
        (r"^stages\.(\d)\.downsample", r"layers.\1.downsample"),
        (r"^norms\.(\d)", r"norm\1"),
        (r"modulation\.projection_in", "modulation.f"),
        (r"modulation\.projection_context", "modulation.h"),
        (r"modulation\.projection_out", "modulation.proj"),
    )

    def __init__(
        self,
        embed_dim: int,
        depths: tuple[int, ...],
        focal_levels: int = 4,
        focal_window: int = 3,
    ) -> None:
        """Make it with random weights.

        Args:
            embed_dim: channels of stage 1; they double with each stage.
            depths: blocks in each stage.
            focal_levels: depthwise convolutions in each block.
            focal_window: kernel size of the first; each further one is two wider.
        """
        from transformers import FocalNetConfig, FocalNetModel

        super().__init__()
        stages = len(depths)
        config = FocalNetConfig(
            embed_dim=embed_dim,
            hidden_sizes=[embed_dim * 2**stage for stage in range(stages)],
            depths=list(depths),
            focal_levels=[focal_levels] * stages,
            focal_windows=[focal_window] * stages,
            use_conv_embed=True,
            use_layerscale=True,
            use_post_layernorm=True,
            normalize_modulator=True,
            drop_path_rate=0.0,
        )
        model = FocalNetModel(config, add_pooling_layer=False)
        self.embeddings, self.stages = model.embeddings, model.encoder.stages
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in config.hidden_sizes)
        self.c1_channels = embed_dim
        self.channels = tuple(config.hidden_sizes)

    def stage1(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H4 W4"]:
        """The output of the blocks of stage 1, without norm."""
        return _blocks(self.stages[0], *self.embeddings(images))

    def levels(self, c1: Float[Tensor, "B C H4 W4"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """The normed outputs of all stages, given that of stage 1."""
        x = c1
        maps = [self._normed(0, x)]
        for number, (before, stage) in enumerate(pairwise(self.stages), start=1):
            x = _blocks(stage, *before.downsample(x))
            maps.append(self._normed(number, x))
        return maps

    def _normed(self, stage: int, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.norms[stage](x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _blocks(
    stage: Any, tokens: Float[Tensor, "B S C"], size_hw: tuple[int, int]
) -> Float[Tensor, "B C H W"]:
    """The blocks of one stage of Transformers' encoder, without its downsampling."""
    for block in stage.layers:
        tokens = block(tokens, size_hw)
    return tokens.unflatten(1, size_hw).permute(0, 3, 1, 2)
