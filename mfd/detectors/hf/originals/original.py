"""What the checkpoints of one family have in common, and what a state dict tells of its model."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
Renames = tuple[tuple[str, str], ...]
"""Pairs of a pattern that the authors' names match and of what replaces it, applied in order."""

_PACKED = re.compile(r"(.*\.self_attn\.)in_proj_(weight|bias)$")
_COUNTER = "num_batches_tracked"  # of batch normalisation, which counts nothing when frozen


@dataclass(frozen=True)
class Settings:
    """What a checkpoint tells beside its weights.

    Args:
        config: fields of the config in Transformers.
        size_hw: height and width that images are resized to.
    """

    config: dict[str, Any]
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Original:
    """How a family's own checkpoints become a model of Transformers.

    Args:
        model_type: in Transformers.
        source: where they are published.
        marks: patterns of names that are in every one of them, and together in no other family's.
        renames: from the authors' names to those in Transformers.
        ignored: pattern of names that are not needed to run the detector.
        settings: of a state dict, and of what its training was called with if the file says so.
    """

    model_type: str
    source: str
    marks: tuple[str, ...]
    renames: Renames
    ignored: str
    settings: Callable[[State, Mapping[str, Any]], Settings]

    def fit(self, state: State) -> float:
        """The share of marks that the names bear; 1 for a checkpoint of this family."""
        found = [any(re.search(mark, name) for name in state) for mark in self.marks]
        return sum(found) / len(found)

    def translate(self, state: State) -> dict[str, Tensor]:
        """The weights under the names in Transformers, packed projections taken apart."""
        weights: dict[str, Tensor] = {}
        for name, value in state.items():
            if name.endswith(_COUNTER) or re.search(self.ignored, name):
                continue
            ours = rename(name, self.renames)
            if packed := _PACKED.match(ours):
                parts = zip("qkv", value.chunk(3), strict=True)
                weights |= {f"{packed[1]}{part}_proj.{packed[2]}": v for part, v in parts}
            else:
                weights[ours] = value
        return weights


def rename(name: str, renames: Renames) -> str:
    """The name after all replacements."""
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def count(state: State, pattern: str) -> int:
    """How many there are of what a pattern's group numbers from 0."""
    numbers = (int(found[1]) for name in state if (found := re.match(pattern, name)))
    return 1 + max(numbers, default=-1)
