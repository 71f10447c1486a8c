"""Multi-scale deformable attention.

Read it in this order:

    reference  what is computed, in PyTorch, both directions; runs wherever Triton does not
    op         the PyTorch operators `mfd::deform_attn` and `mfd::deform_attn_gradients`
    launch     sizes, tiles and options of the Triton kernels; `call` holds their arguments
    triton     the kernels; `cells` holds what they share
    tiles      kernels of the gradient of value that add nothing to memory, by `launch_tiles`
    api        the public functions, which check their arguments
"""

from mfd.kernels.deform_attn.api import ms_deform_attn, ms_deform_attn_fused

__all__ = ["ms_deform_attn", "ms_deform_attn_fused"]
