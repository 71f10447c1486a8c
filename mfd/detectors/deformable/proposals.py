"""The first of the two stages: every encoder token proposes a box, and the best are selected."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.levels import Levels
from mfd.detectors.deformable.prediction import box_head, class_head, in_float32


@dataclass
class Selection:
    """The selected tokens, best first, and what they propose.

    Attributes:
        tokens: their numbers.
        boxes: (centre x, centre y, width, height), 0 and 1 being the edges of the unpadded image.
        logits: class logits of *all* tokens.
        all_boxes: boxes of all tokens; None outside training, where nothing needs them.
    """

    tokens: Int[Tensor, "B Q"]
    boxes: Float[Tensor, "B Q 4"]
    logits: Float[Tensor, "B S K"]
    all_boxes: Float[Tensor, "B S 4"] | None


class Proposals(nn.Module):
    """A class and a box head on every token, relative to a square on the token's cell."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        self.score = config.token_score
        self.output = nn.Linear(config.dim, config.dim)
        self.output_norm = nn.LayerNorm(config.dim)
        self.class_head = class_head(config.dim, config.num_classes)
        self.box_head = box_head(config.dim)

    def forward(self, memory: Float[Tensor, "B S D"], levels: Levels, count: int) -> Selection:
        """The `count` best tokens of the encoder's output.

        Padding, and squares too near the image's edge, are not excluded: they carry one constant
        vector, hence one constant score, and the box of the whole image. Trained detectors score
        it low; the ranking is that of the official code.
        """
        grid, usable = grid_boxes(levels)
        memory = memory.masked_fill(~usable[..., None], 0.0)
        memory = self.output_norm(self.output(memory))
        logits = in_float32(self.class_head, memory)
        scores = logits[..., 0] if self.score == "class_0" else logits.amax(-1)
        tokens = scores.topk(count, dim=1).indices
        if self.training:
            all_boxes = (in_float32(self.box_head, memory) + grid).sigmoid()
            return Selection(tokens, _take(all_boxes, tokens), logits, all_boxes)
        corrections = in_float32(self.box_head, _take(memory, tokens))
        boxes = (corrections + _take(grid, tokens)).sigmoid()
        return Selection(tokens, boxes, logits, None)


def grid_boxes(levels: Levels) -> tuple[Float[Tensor, "B S 4"], Bool[Tensor, "B S"]]:
    """A square on each token in logit form, and whether the token may propose it.

    Its side is 0.05 of the image on the finest level and doubles with each level. It may be
    proposed if its centre and side lie strictly between 0.01 and 0.99 and the token is no
    padding; elsewhere its logits are infinite.
    """
    sides = [
        levels.centres.new_full((height * width, 1), 0.05 * 2.0**level)
        for level, (height, width) in enumerate(levels.sizes_hw)
    ]
    side = torch.cat(sides).expand(levels.centres.shape[0], -1, 2)
    boxes = torch.cat((levels.centres, side), dim=-1)
    usable = ((boxes > 0.01) & (boxes < 0.99)).all(-1) & ~levels.padding
    logits = torch.log(boxes / (1 - boxes))
    return logits.masked_fill(~usable[..., None], torch.inf), usable


def _take(values: Float[Tensor, "B S D"], tokens: Int[Tensor, "B Q"]) -> Float[Tensor, "B Q D"]:
    return values.gather(1, tokens[..., None].expand(-1, -1, values.shape[-1]))
