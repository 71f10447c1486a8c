"""From a query and its region features to a mask: the comparison of table 12."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from mfd.nn import Linear


class DotProduct(nn.Module):
    """Eq. 4 without parameters: `q . R / sqrt(d)`.

    The root is ours: products of normalised features are of size sqrt(d), and logits that large
    start the training with the loss of confident mistakes.
    """

    def forward(
        self, queries: Float[Tensor, "N D"], regions: Float[Tensor, "#N h w D"]
    ) -> Float[Tensor, "N h w"]:
        """Mask logits."""
        return torch.einsum("nd,nhwd->nhw", queries, regions) / math.sqrt(queries.shape[1])


class SegmenterHead(nn.Module):
    """Segmenter's (arXiv:2105.05633): both sides projected and normalised, then the dot product.

    The product is a cosine, so a learned scale makes logits of it, 10 at first. [ours]
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query_projection = nn.Linear(dim, dim, bias=False)
        self.region_projection = Linear(dim, dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(10.0))
        for projection in (self.query_projection, self.region_projection):
            nn.init.normal_(projection.weight, std=dim**-0.5)  # Segmenter's

    def forward(
        self, queries: Float[Tensor, "N D"], regions: Float[Tensor, "#N h w D"]
    ) -> Float[Tensor, "N h w"]:
        """Mask logits."""
        query = normalize(self.query_projection(queries), dim=-1)
        region = normalize(self.region_projection(regions), dim=-1)
        return torch.einsum("nd,nhwd->nhw", query, region) * self.scale
