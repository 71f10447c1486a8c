"""Layers that detectors and head share, each once."""

from mfd.nn.add_norm import AddLayerNorm
from mfd.nn.boxes import cxcywh_to_xyxy, enlarged, pairwise_giou, pairwise_iou, xyxy_to_cxcywh
from mfd.nn.deform_attn import DeformableAttention, DeformableEncoderLayer
from mfd.nn.mlp import MLP, FeedForward
from mfd.nn.products import Linear, linear
from mfd.nn.sine import box_encoding, grid_encoding, grid_encodings, sine_encoding
from mfd.nn.sizes import sizes_tensor
from mfd.nn.state_names import keep_state_names
from mfd.nn.swin import SwinLayer, from_windows, to_windows

__all__ = [
    "MLP",
    "AddLayerNorm",
    "DeformableAttention",
    "DeformableEncoderLayer",
    "FeedForward",
    "Linear",
    "SwinLayer",
    "box_encoding",
    "cxcywh_to_xyxy",
    "enlarged",
    "from_windows",
    "grid_encoding",
    "grid_encodings",
    "keep_state_names",
    "linear",
    "pairwise_giou",
    "pairwise_iou",
    "sine_encoding",
    "sizes_tensor",
    "to_windows",
    "xyxy_to_cxcywh",
]
