"""The network: backbone, levels, encoder, proposals, decoder."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.detectors.deformable.backbone import Backbone
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.decoder import Decoder
from mfd.detectors.deformable.encoder import Encoder
from mfd.detectors.deformable.levels import Levels, build_levels
from mfd.detectors.deformable.position import map_position
from mfd.detectors.deformable.proposals import Proposals, Selection

NORM_GROUPS = 32


@dataclass
class Predictions:
    """Everything a batch of images gives, layer by layer.

    Attributes:
        queries: of each of the N decoder layers, as its heads see them.
        logits: class logits of each decoder layer.
        boxes: of each decoder layer, (centre x, centre y, width, height); 0 and 1 are the edges
            of the image without its padding.
        selection: the first stage's proposals.
        encoder: tokens after each encoder layer.
        geometry: how these tokens form maps.
        c1: the backbone's stage-1 map.
    """

    queries: Float[Tensor, "N B Q D"]
    logits: Float[Tensor, "N B Q K"]
    boxes: Float[Tensor, "N B Q 4"]
    selection: Selection
    encoder: list[Float[Tensor, "B S D"]]
    geometry: Levels
    c1: Float[Tensor, "B C H4 W4"]


class DeformableDetr(nn.Module):
    """A two-stage deformable DETR; `config` makes it H-DETR, DINO or the demo detector.

    To train it, call it in train mode: `logits` and `boxes` of all decoder layers are to be
    supervised, and as a further layer `selection.logits` and `selection.all_boxes`, one proposal
    per token. The first `config.num_queries` queries are for one-to-one matching; any after them
    (`config.extra_queries`, train mode only) are for one-to-many matching.
    """

    def __init__(self, config: DeformableConfig, backbone: Backbone) -> None:
        super().__init__()
        assert isinstance(backbone, nn.Module)
        self.config = config
        self.backbone = backbone
        self.input_proj = nn.ModuleList(_projections(config, backbone.channels))
        self.level_embed = nn.Parameter(torch.randn(len(config.strides), config.dim))
        self.encoder = Encoder(config)
        self.proposals = Proposals(config)
        self.decoder = Decoder(config)

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> Predictions:
        """All layers' predictions for normalised images, padded with zeros right and below.

        Args:
            images: RGB, normalised.
            padding_mask: True on padding.
        """
        config = self.config
        c1 = self.backbone.stage1(images)
        maps = self._level_maps(self.backbone.levels(c1))
        levels = build_levels(padding_mask, tuple((m.shape[-2], m.shape[-1]) for m in maps))
        # float32, so that under autocast the layers' sums are too, on the CPU as on a GPU
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1).float()
        encoder = self.encoder(tokens, self._position(levels), levels)
        count = config.num_queries + (config.extra_queries if self.training else 0)
        selection = self.proposals(encoder[-1], levels, min(count, tokens.shape[1]))
        queries, logits, boxes = self.decoder(selection.boxes.detach(), encoder[-1], levels)
        return Predictions(queries, logits, boxes, selection, encoder, levels, c1)

    def _level_maps(
        self, backbone_maps: list[Float[Tensor, "B _C _H _W"]]
    ) -> list[Float[Tensor, "B D _H _W"]]:
        """Projected maps; extra levels read the last raw map and then each other."""
        projections = list(self.input_proj)
        own, further = projections[: len(backbone_maps)], projections[len(backbone_maps) :]
        maps = [project(m) for project, m in zip(own, backbone_maps, strict=True)]
        source = backbone_maps[-1]
        for projection in further:
            source = projection(source)
            maps.append(source)
        return maps

    def _position(self, levels: Levels) -> Float[Tensor, "B S D"]:
        config = self.config
        maps = [
            map_position(mask, config.dim, config.map_temperature, config.map_offset)
            for mask in levels.masks
        ]
        return torch.cat(
            [m.flatten(1, 2) + embed for m, embed in zip(maps, self.level_embed, strict=True)],
            dim=1,
        )


def _projections(config: DeformableConfig, channels: tuple[int, ...]) -> Iterable[nn.Sequential]:
    """A 1x1 convolution for each backbone map, a 3x3 of stride 2 for each further level."""
    for level in range(len(config.strides)):
        if level < len(channels):
            convolution = nn.Conv2d(channels[level], config.dim, 1)
        else:
            width = channels[-1] if level == len(channels) else config.dim
            convolution = nn.Conv2d(width, config.dim, 3, stride=2, padding=1)
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        yield nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, config.dim))
