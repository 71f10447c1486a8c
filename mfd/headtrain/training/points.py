"""Sampled supervision: where in each box the mask is compared with the truth (PointRend)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import grid_sample

from mfd.headtrain.config.train import PointSampling


@torch.no_grad()
def sample_points(
    logits: Float[Tensor, "N S S"], keys: Int64[Tensor, " N"], sampling: PointSampling
) -> Float[Tensor, "N P 2"]:
    """P places in each box, (x, y) in [0, 1] of it, the undecided ones preferred.

    P is `share` of the S x S cells, at least 1. `oversample` x P places are drawn evenly; the
    `importance` x P whose logit is nearest to zero stay and even ones fill up (PointRend,
    arXiv:1912.08193, section 3.1).

    Args:
        keys: what is drawn for a box is decided by its key alone, not by the other boxes.
    """
    count = max(round(sampling.share * logits.shape[1] * logits.shape[2]), 1)
    important = round(sampling.importance * count)
    drawn = round(sampling.oversample * count)
    places = uniform(keys, 2 * (drawn + count - important)).unflatten(1, (-1, 2))
    candidates, even = places.split([drawn, count - important], dim=1)
    undecided = -read_at(logits, candidates.to(logits.dtype)).abs()
    chosen = undecided.topk(important, dim=1).indices
    kept = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat((kept, even), dim=1).to(logits.dtype)


def uniform(keys: Int64[Tensor, " N"], count: int) -> Float[Tensor, "N C"]:
    """C = `count` numbers in [0, 1) for each key, multiples of 2^-24, on the keys' device.

    A key is the state of a SplitMix64 generator (Steele, Lea and Flood 2014, figure 16), of whose
    numbers the highest 24 bits are taken; its last step changes only lower ones.
    """
    numbers = torch.arange(1, count + 1, device=keys.device)
    bits = torch.add(keys[:, None], numbers, alpha=0x9E3779B97F4A7C15 - 2**64)  # torch's are signed
    bits = (bits ^ _shifted(bits, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    bits = (bits ^ _shifted(bits, 27)) * (0x94D049BB133111EB - 2**64)
    return _shifted(bits, 40) * 2.0**-24


def _shifted(values: Int64[Tensor, "*N"], places: int) -> Int64[Tensor, "*N"]:
    """To the right, zeros from the left: torch would repeat the sign."""
    return (values >> places) & (2 ** (64 - places) - 1)


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
