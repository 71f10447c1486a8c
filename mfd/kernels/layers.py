"""The kernels as layers that the Hub's `kernels` can put in the place of Transformers' own."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.kernels.deform_attn import ms_deform_attn


class MultiScaleDeformableAttention(nn.Module):
    """The layer of this name in Transformers' deformable detectors, which has no state."""

    can_torch_compile: bool = True

    def forward(
        self,
        value: Float[Tensor, "B S M D"],
        value_spatial_shapes: Int[Tensor, "L 2"],
        value_spatial_shapes_list: list[tuple[int, int]],
        level_start_index: Int[Tensor, " L"],
        sampling_locations: Float[Tensor, "B Q M L P 2"],
        attention_weights: Float[Tensor, "B Q M L P"],
        im2col_step: int,
    ) -> Float[Tensor, "B Q M*D"]:
        """The samples of every query, see `mfd.kernels.ms_deform_attn`; the heads side by side."""
        read = ms_deform_attn(value, value_spatial_shapes, sampling_locations, attention_weights)
        return read.flatten(2)
