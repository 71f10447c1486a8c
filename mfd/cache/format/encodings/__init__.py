"""The element types of a store: one file each, named as in `mfd.config.StoredDtype`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, get_args

from jaxtyping import Float, Num

from mfd.cache.format.encodings.encoding import CONSTANT_DTYPE, Encoding
from mfd.config import StoredDtype

if TYPE_CHECKING:  # it would import torch, which takes seconds
    from torch import Tensor

ENCODINGS: Mapping[StoredDtype, Encoding] = {
    name: import_module(f"{__name__}.{name}").ENCODING for name in get_args(StoredDtype)
}
_BY_DTYPE = {encoding.dtype: encoding for encoding in ENCODINGS.values()}


def decode_maps(
    stored: Num[Tensor, "*B H W _P"], constants: Mapping[str, Float[Tensor, "*B C"]]
) -> Float[Tensor, "*B H W C"]:
    """Maps as floats, from the stored numbers and the constants stored beside them.

    The tensor's own type says how it is encoded; of a type that no store has, it is returned as it
    is.
    """
    encoding = _BY_DTYPE.get(str(stored.dtype).removeprefix("torch."))
    return stored if encoding is None else encoding.decode(stored, constants)


__all__ = ["CONSTANT_DTYPE", "ENCODINGS", "Encoding", "decode_maps"]
