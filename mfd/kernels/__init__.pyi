from .deform_attn import ms_deform_attn as ms_deform_attn
from .deform_attn import ms_deform_attn_fused as ms_deform_attn_fused
from .dispatch import kernel_report as kernel_report
from .flops import register_with_pytorch as register_with_pytorch
from .roi_align import roi_align as roi_align
from .roi_align import roi_align_upsampled as roi_align_upsampled
