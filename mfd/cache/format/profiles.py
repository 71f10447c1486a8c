"""Which feature maps a store has, and how each kind of them lies in its arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfd.cache.format.records import ImageRecord
from mfd.config import Profile
from mfd.detectors import DetectorSpec

if TYPE_CHECKING:  # they would import torch, which takes seconds
    from torch import Tensor

    from mfd.detectors import ImageFeatures

UNIT = 16  # consecutive images that are written, committed and repaired together


@dataclass(frozen=True)
class MapKind:
    """One kind of maps. Those of an image are joined in order, each row by row.

    Args:
        array: name of the array of stored numbers; the encoding's constants lie beside it.
        where: what a constant belongs to, in the words of the formula in the array's attributes.
        per_level: whether the arrays of constants have an axis of levels.
        images_per_shard: divides a unit.
        strides: of an image's maps.
        channels: width of the maps.
        sizes: (height, width) of an image's maps.
        maps: of an image, (height, width, channels) each; empty where it comes without them.
        constants: of these maps, by name.
    """

    array: str
    where: str
    per_level: bool
    images_per_shard: int
    strides: Callable[[DetectorSpec], Sequence[int]]
    channels: Callable[[DetectorSpec], int]
    sizes: Callable[[ImageRecord], Sequence[tuple[int, int]]]
    maps: Callable[[ImageFeatures], Sequence[Tensor]]
    constants: Callable[[ImageFeatures], Mapping[str, Tensor]]

    def constant_array(self, name: str) -> str:
        """The name of the array of a constant."""
        return f"{self.array.partition('/')[0]}/{name}"


ENCODER = MapKind(
    array="enc/tokens",
    where="image, level of the token",
    per_level=True,
    images_per_shard=UNIT,
    strides=lambda spec: spec.strides,
    channels=lambda spec: spec.dim,
    sizes=lambda record: record.level_hw,
    maps=lambda features: features.memory,
    constants=lambda features: features.memory_constants,
)
C1 = MapKind(
    array="c1/map",
    where="image",
    per_level=False,
    images_per_shard=4,  # 16 stride-4 maps would be half a gigabyte at 800 x 1333
    strides=lambda spec: (spec.c1_stride,),
    channels=lambda spec: spec.c1_channels,
    sizes=lambda record: (record.c1_hw,),
    maps=lambda features: () if features.c1 is None else (features.c1,),
    constants=lambda features: features.c1_constants,
)

_PROFILES: Mapping[Profile, tuple[MapKind, ...]] = {"full": (ENCODER, C1), "lite": (ENCODER,)}


def map_kinds(spec: DetectorSpec, profile: Profile) -> tuple[MapKind, ...]:
    """The kinds of maps that a store of this profile holds: of those the detector has."""
    return tuple(kind for kind in _PROFILES[profile] if kind.channels(spec))
