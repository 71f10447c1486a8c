"""The numbers and choices that turn one deformable transformer into H-DETR, DINO or the demo."""

from dataclasses import dataclass
from typing import Literal

from mfd.errors import ConfigError


@dataclass(frozen=True)
class DeformableConfig:
    """A two-stage deformable DETR with box refinement and mixed query selection.

    Mixed query selection: boxes of the best encoder tokens start the decoder, whose content
    queries are learned (H-Deformable-DETR, arXiv:2207.13080; DINO, arXiv:2203.03605).

    Args:
        dim: D, width of tokens and queries.
        heads: M, of every attention.
        encoder_layers: number of encoder layers.
        decoder_layers: number of decoder layers.
        feedforward: hidden width of the feed-forward parts.
        points: P, sampling points per head and level.
        strides: of the levels, finest first; those after the backbone's own maps are made by
            stride-2 convolutions.
        num_classes: K, logit columns.
        num_queries: Q, queries that match one object each.
        extra_queries: queries added in training only, which see each other but not the Q, for
            H-DETR's one-to-many matching.
        map_temperature: of the sine position of map cells.
        map_offset: added to a cell's row and column number, which count from 1.
        token_score: what ranks encoder tokens: the logit of class 0, or the largest logit.
        query_position: "initial": a projection of the selected box, the same in all layers
            (H-DETR); "reference": an MLP of each layer's reference box (DINO).
        decoder_norm: whether heads see the decoder's output through a final LayerNorm.
        shared_heads: whether all decoder layers share one class and one box head.
        box_eps: clamp of the inverse sigmoid.
    """

    dim: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    points: int = 4
    strides: tuple[int, ...] = (8, 16, 32, 64)
    num_classes: int = 91
    num_queries: int = 300
    extra_queries: int = 0
    map_temperature: float = 10000.0
    map_offset: float = -0.5
    token_score: Literal["class_0", "max"] = "class_0"
    query_position: Literal["initial", "reference"] = "initial"
    decoder_norm: bool = False
    shared_heads: bool = False
    box_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % 32:
            raise ConfigError(f"dim must divide by heads and by 32; found {self.dim}, {self.heads}")
