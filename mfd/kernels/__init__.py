"""Multi-scale deformable attention and RoIAlign on channels-last maps."""

from mfd.kernels.reference import (
    ms_deform_attn_fused_reference as ms_deform_attn_fused,
)
from mfd.kernels.reference import (
    ms_deform_attn_reference as ms_deform_attn,
)
from mfd.kernels.reference import (
    roi_align_reference as roi_align,
)
from mfd.kernels.reference import (
    roi_align_upsampled_reference as roi_align_upsampled,
)

__all__ = ["ms_deform_attn", "ms_deform_attn_fused", "roi_align", "roi_align_upsampled"]
