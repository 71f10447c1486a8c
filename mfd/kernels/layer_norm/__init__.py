"""A residual sum and its LayerNorm in one pass, in the type that the tokens have.

Under autocast PyTorch adds in one pass, normalises in another and returns float32, so that every
matrix product behind it converts the tokens once more. Here sums and statistics are float32 too,
but what is read and written has 16 bits.

    reference  what is computed, in PyTorch, both directions
    op         the PyTorch operators `mfd::add_layer_norm` and `mfd::add_layer_norm_grad`
    launch     grids and options of the Triton kernels
    triton     the kernels
    api        the public function, which checks its arguments
"""

from mfd.kernels.layer_norm.api import add_layer_norm

__all__ = ["add_layer_norm"]
