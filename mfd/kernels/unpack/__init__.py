"""Stored codes of four bits as floats.

reference  the formula, in PyTorch
launch     grid and options of the Triton kernel
triton     the kernel: reads each byte once, writes each value once
api        the public function, which chooses between them
"""

from mfd.kernels.unpack.api import unpack

__all__ = ["unpack"]
