"""RoIAlign, and RoIAlign of an up-sampled map taken from the coarser one.

Read it in this order:

    taps       both operations as tables: which pixels a cell reads along one axis, how much of each
    reference  reading a map through such tables, in PyTorch, both directions
    op         the PyTorch operators `mfd::roi_taps`, `mfd::roi_read` and `mfd::roi_read_grad`
    launch     grids and options of the Triton kernels
    triton     the kernels that read maps; `triton_tables` makes tables and lays them out
    api        the public functions, which check their arguments and make the tables
"""

from mfd.kernels.roi_align.api import BoxReader, roi_align, roi_align_upsampled

__all__ = ["BoxReader", "roi_align", "roi_align_upsampled"]
