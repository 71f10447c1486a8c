"""The query feature encoder of section 3.4: one layer runs after each box-encoder layer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mfd.headtrain.config.head import HeadConfig
from mfd.nn import AddLayerNorm, FeedForward, box_encoding

BOX_ENCODING = 256
"""Channels of the boxes' sine encoding: 64 for each of its four numbers."""


class QueryLayer(nn.Module):
    """Object-to-object attention, box-to-object attention and FFN, each optional and post-norm."""

    def __init__(self, config: HeadConfig, dim: int) -> None:
        super().__init__()
        heads = config.num_heads
        self.object_to_object = ObjectToObject(dim, heads) if config.query_o2o else None
        self.box_to_object = BoxToObject(dim, heads) if config.query_b2o else None
        self.feed_forward = FeedForward(dim, 4 * dim) if config.query_ffn else None
        self.feed_forward_norm = AddLayerNorm(dim) if config.query_ffn else None
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)  # DETR's, for every matrix of its decoder

    def forward(
        self,
        queries: Float[Tensor, "N D"],
        regions: Float[Tensor, "N s s D"],
        boxes: Float[Tensor, "N 4"],
        groups: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """The queries, adapted to their regions; boxes are cxcywh in [0, 1].

        Args:
            groups: queries of equal numbers attend to each other, those of an image.
        """
        if self.object_to_object is not None:
            queries = self.object_to_object(queries, boxes, groups)
        if self.box_to_object is not None:
            queries = self.box_to_object(queries, regions)
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            queries = self.feed_forward_norm(queries, self.feed_forward(queries))
        return queries


class ObjectToObject(nn.Module):
    """Eq. 10: each query attends to the queries of its own image, told apart by their boxes."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.position = nn.Linear(BOX_ENCODING, dim)
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm = AddLayerNorm(dim)

    def forward(
        self,
        queries: Float[Tensor, "N D"],
        boxes: Float[Tensor, "N 4"],
        groups: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """The queries after attention."""
        if not queries.shape[0]:
            return queries
        placed = (queries + self.position(box_encoding(boxes, BOX_ENCODING).to(queries)))[None]
        other_group = (groups[:, None] != groups).to(queries.device)  # (N, N)
        attended, _ = self.attention(
            placed, placed, queries[None], attn_mask=other_group, need_weights=False
        )
        return self.norm(queries, attended[0])


class BoxToObject(nn.Module):
    """Eq. 11: each query attends to the s * s features of its own region.

    Computed by hand from the module's parameters. A region has one query, so the projection of
    keys is applied to the query instead of all cells, `q . (Wk r) = (Wk^T q) . r`, and that of
    values to what was read, `Wv` times a mean being the mean of `Wv r`. The bias of the keys adds
    the same to all scores of a query, which the softmax cancels.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm = AddLayerNorm(dim)

    def forward(
        self, queries: Float[Tensor, "N D"], regions: Float[Tensor, "N s s D"]
    ) -> Float[Tensor, "N D"]:
        """The queries after attention."""
        if not queries.shape[0]:
            return queries
        dim, heads = queries.shape[1], self.attention.num_heads
        weight = self.attention.in_proj_weight.unflatten(0, (3, heads, -1))  # (3, M, D / M, D)
        bias = self.attention.in_proj_bias.view(3, heads, -1)
        query = torch.einsum("nc,mdc->nmd", queries, weight[0]) + bias[0]
        looked_for = torch.einsum("nmd,mdc->nmc", query, weight[1])[:, None]  # (N, 1, M, D)
        cells = regions.flatten(1, 2)[:, None].to(looked_for)  # (N, 1, s * s, D)
        read = scaled_dot_product_attention(looked_for, cells, cells, scale=(dim // heads) ** -0.5)
        attended = torch.einsum("nmc,mdc->nmd", read[:, 0], weight[2]) + bias[2]
        return self.norm(queries, self.attention.out_proj(attended.flatten(1)))
