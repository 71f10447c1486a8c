"""Multi-scale deformable attention and RoIAlign on channels-last maps."""

from mfd.kernels.deform_attn import ms_deform_attn, ms_deform_attn_fused
from mfd.kernels.dispatch import kernel_report
from mfd.kernels.reference import (
    roi_align_reference as roi_align,
)
from mfd.kernels.reference import (
    roi_align_upsampled_reference as roi_align_upsampled,
)

__all__ = [
    "kernel_report",
    "ms_deform_attn",
    "ms_deform_attn_fused",
    "roi_align",
    "roi_align_upsampled",
]
