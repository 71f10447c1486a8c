"""Multi-scale deformable attention, RoIAlign, LayerNorm of sums and unpacking, channels last."""

from mfd.kernels import drop_in, layers
from mfd.kernels.deform_attn import ms_deform_attn, ms_deform_attn_fused
from mfd.kernels.dispatch import kernel_report
from mfd.kernels.flops import register_with_pytorch
from mfd.kernels.layer_norm import add_layer_norm
from mfd.kernels.roi_align import BoxReader, roi_align, roi_align_upsampled
from mfd.kernels.unpack import unpack

__all__ = [
    "BoxReader",
    "add_layer_norm",
    "drop_in",
    "kernel_report",
    "layers",
    "ms_deform_attn",
    "ms_deform_attn_fused",
    "roi_align",
    "roi_align_upsampled",
    "unpack",
]

register_with_pytorch()
