"""The query feature encoder of section 3.4: one layer runs after each box-encoder layer."""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from mfd.headtrain.config.head import HeadConfig
from mfd.nn import FeedForward, box_encoding

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
        self.feed_forward_norm = nn.LayerNorm(dim) if config.query_ffn else None
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)  # DETR's, for every matrix of its decoder

    def forward(
        self,
        queries: Float[Tensor, "N D"],
        regions: Float[Tensor, "N s s D"],
        boxes: Float[Tensor, "N 4"],
        image_index: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """The queries, adapted to their regions; boxes are cxcywh in [0, 1]."""
        if self.object_to_object is not None:
            queries = self.object_to_object(queries, boxes, image_index)
        if self.box_to_object is not None:
            queries = self.box_to_object(queries, regions)
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            queries = self.feed_forward_norm(queries + self.feed_forward(queries))
        return queries


class ObjectToObject(nn.Module):
    """Eq. 10: each query attends to the queries of its own image, told apart by their boxes."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.position = nn.Linear(BOX_ENCODING, dim)
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        queries: Float[Tensor, "N D"],
        boxes: Float[Tensor, "N 4"],
        image_index: Int[Tensor, " N"],
    ) -> Float[Tensor, "N D"]:
        """The queries after attention."""
        if not len(queries):
            return queries
        placed = (queries + self.position(box_encoding(boxes, BOX_ENCODING).to(queries)))[None]
        other_image = (image_index[:, None] != image_index).to(queries.device)  # (N, N)
        attended, _ = self.attention(
            placed, placed, queries[None], attn_mask=other_image, need_weights=False
        )
        return self.norm(queries + attended[0])


class BoxToObject(nn.Module):
    """Eq. 11: each query attends to the s * s features of its own region.

    Computed by hand from the module's parameters: it would copy the keys and values of all cells.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, queries: Float[Tensor, "N D"], regions: Float[Tensor, "N s s D"]
    ) -> Float[Tensor, "N D"]:
        """The queries after attention."""
        if not len(queries):
            return queries
        dim, heads = queries.shape[1], self.attention.num_heads
        weight, bias = self.attention.in_proj_weight, self.attention.in_proj_bias
        query = linear(queries, weight[:dim], bias[:dim]).view(-1, heads, 1, dim // heads)
        cells = linear(regions.flatten(1, 2), weight[dim:], bias[dim:])  # (N, s * s, 2D)
        key, value = cells.unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(query, key, value)  # (N, M, 1, D / M)
        return self.norm(queries + self.attention.out_proj(attended.flatten(1)))
