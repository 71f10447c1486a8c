"""Multi-scale deformable attention, RoIAlign and unpacking, on channels-last maps."""

from mfd.kernels.deform_attn import ms_deform_attn, ms_deform_attn_fused
from mfd.kernels.dispatch import kernel_report
from mfd.kernels.flops import register_with_pytorch
from mfd.kernels.roi_align import BoxReader, roi_align, roi_align_upsampled
from mfd.kernels.unpack import unpack

__all__ = [
    "BoxReader",
    "kernel_report",
    "ms_deform_attn",
    "ms_deform_attn_fused",
    "roi_align",
    "roi_align_upsampled",
    "unpack",
]

register_with_pytorch()
