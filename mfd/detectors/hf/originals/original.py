"""What the checkpoints of one family have in common, and what a state dict tells of its model."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mfd.detectors.keys import Renames, renamed

State = Mapping[str, Tensor]

_PACKED = (  # what one tensor holds, in Transformers one each
    (re.compile(r"(.*\.self_attn\.)in_proj_(weight|bias)$"), ("q_proj", "k_proj", "v_proj")),
    (re.compile(r"(.*\.attention\.)qkv\.(weight|bias)$"), ("q_proj", "k_proj", "v_proj")),
    (re.compile(r"(.*\.mlp\.)gate_up\.(weight|bias)$"), ("gate_proj", "up_proj")),
)
COUNTER = "num_batches_tracked"  # of batch normalisation, which counts nothing when frozen


@dataclass(frozen=True)
class Settings:
    """What a checkpoint tells beside its weights.

    Args:
        config: fields of the config in Transformers.
        size_hw: height and width that images are resized to.
        normalised: whether they are normalised by ImageNet's mean and standard deviation.
    """

    config: dict[str, Any]
    size_hw: tuple[int, int]
    normalised: bool = False


@dataclass(frozen=True)
class Original:
    """How a family's own checkpoints become a model of Transformers.

    Args:
        model_type: in Transformers.
        source: where they are published.
        marks: patterns of names that are in every one of them, and together in no other family's.
        settings: of a state dict, and of what its training was called with if the file says so.
        renames: from the authors' names to those in Transformers; none where it knows the authors'.
        ignored: pattern of names that are not needed to run the detector.
        prepared: a state dict as `renames` expect it.
    """

    model_type: str
    source: str
    marks: tuple[str, ...]
    settings: Callable[[State, Mapping[str, Any]], Settings]
    renames: Renames = ()
    ignored: str = r"^$"
    prepared: Callable[[State], State] = dict

    def fit(self, state: State) -> float:
        """The share of marks that the names bear; 1 for a checkpoint of this family."""
        found = [any(re.search(mark, name) for name in state) for mark in self.marks]
        return sum(found) / len(found)

    def translate(self, state: State) -> dict[str, Tensor]:
        """The weights under the names in Transformers, what is packed in one taken apart."""
        weights: dict[str, Tensor] = {}
        for name, value in self.prepared(state).items():
            if name.endswith(COUNTER) or re.search(self.ignored, name):
                continue
            weights |= _unpacked(renamed(name, self.renames), value)
        return weights


def _unpacked(name: str, value: Tensor) -> dict[str, Tensor]:
    """The tensors, by name, that one holds."""
    for pattern, parts in _PACKED:
        if value.ndim and (found := pattern.match(name)):
            values = zip(parts, value.tensor_split(len(parts)), strict=True)
            return {f"{found[1]}{part}.{found[2]}": v for part, v in values}
    return {name: value}


def count(state: State, pattern: str) -> int:
    """How many there are of what a pattern's group numbers from 0."""
    numbers = (int(found[1]) for name in state if (found := re.match(pattern, name)))
    return 1 + max(numbers, default=-1)
