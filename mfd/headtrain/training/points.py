"""Sampled supervision: where in each box the mask is compared with the truth (PointRend)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample


@torch.no_grad()
def sample_points(
    logits: Float[Tensor, "N S S"],
    count: int,
    generator: torch.Generator,
    *,
    oversample: float = 3.0,
    importance: float = 0.75,
) -> Float[Tensor, "N P 2"]:
    """P = `count` places per box, (x, y) in [0, 1] of the box, the undecided ones preferred.

    `oversample` x P places are drawn evenly; the `importance` x P whose logit is nearest to zero
    stay and even ones fill up (PointRend, arXiv:1912.08193, section 3.1; k = 3 and beta = 0.75).
    """
    boxes = len(logits)
    important = round(importance * count)
    drawn = round(oversample * count)
    places = torch.rand(
        boxes, drawn + count - important, 2, device=logits.device, generator=generator
    )
    candidates, even = places.split([drawn, count - important], dim=1)
    undecided = -read_at(logits, candidates.to(logits.dtype)).abs()
    chosen = undecided.topk(important, dim=1).indices
    kept = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat((kept, even), dim=1).to(logits.dtype)


def read_at(maps: Float[Tensor, "N S S"], points: Float[Tensor, "N P 2"]) -> Float[Tensor, "N P"]:
    """Bilinear values of each box's map at its points, (x, y) in [0, 1].

    0 and 1 are the outer edges of the map; between an edge and the nearest cell centres the map
    continues as it is there.
    """
    if not len(maps):
        return points.sum(-1) * maps.sum()  # grid_sample refuses an empty batch
    where = points[:, :, None] * 2 - 1  # (N, P, 1, 2)
    values = grid_sample(maps[:, None], where, padding_mode="border", align_corners=False)
    return values[:, 0, :, 0]
