"""A checkpoint's state dict against a network: does every key fit, and which weight is it?"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

SHOWN = 3

Renames = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
"""Pairs of a pattern and of what replaces it in a weight's name, applied in this order."""


def renamed(name: str, renames: Renames) -> str:
    """The name after all replacements."""
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


@dataclass(frozen=True)
class KeyMap:
    """What a detector expects of a state dict.

    Attributes:
        shapes: of every weight of the network, by our name.
        names: all of a weight's names in the checkpoint; the first is the main one, the others
            are copies.
        ignored: ends of keys that are not needed.
    """

    shapes: dict[str, torch.Size]
    names: dict[str, tuple[str, ...]]
    ignored: tuple[str, ...]

    def mismatch(self, state: Mapping[str, Tensor]) -> str:
        """The first keys that do not fit, for an error message; empty if all fit."""
        known = {theirs for group in self.names.values() for theirs in group}
        kinds = {
            "missing": sorted(known - state.keys()),
            "unexpected": sorted(k for k in state.keys() - known if not self.is_ignored_key(k)),
            "mis-shaped": self._misshaped(state),
            "unequal to the weights they repeat": self._unequal(state),
        }
        return ", ".join(_list(kind, keys) for kind, keys in kinds.items() if keys)

    def is_ignored_key(self, key: str) -> bool:
        """Whether a checkpoint's entry is not needed to run the detector."""
        return key.endswith(self.ignored)

    def share(self, state: Mapping[str, Tensor]) -> float:
        """Of all keys needed or expected, the fraction both have, equally shaped; 1 if all do."""
        expected = {key: self.shapes[ours] for ours, keys in self.names.items() for key in keys}
        common = sum(k in state and state[k].shape == shape for k, shape in expected.items())
        needed = {key for key in state if key in expected or not self.is_ignored_key(key)}
        return common / len(needed | expected.keys())

    def translate(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights under our names, in float32 where they are floating point."""
        weights = {ours: state[theirs[0]] for ours, theirs in self.names.items()}
        return {n: w.float() if w.is_floating_point() else w for n, w in weights.items()}

    def _misshaped(self, state: Mapping[str, Tensor]) -> list[str]:
        return [
            f"{theirs} is {_describe(state[theirs])}, expected {tuple(self.shapes[ours])}"
            for ours, group in self.names.items()
            for theirs in group
            if theirs in state and not _fits(state[theirs], self.shapes[ours])
        ]

    def _unequal(self, state: Mapping[str, Tensor]) -> list[str]:
        return [
            theirs
            for main, *copies in self.names.values()
            for theirs in copies
            if {theirs, main} <= state.keys() and not state[theirs].equal(state[main])
        ]


def _list(kind: str, keys: list[str]) -> str:
    """The number of keys and the first of them."""
    shown = "; ".join(keys[:SHOWN] + ["..."] * (len(keys) > SHOWN))
    return f"{len(keys)} key{'s' * (len(keys) > 1)} {kind} ({shown})"


def _fits(value: Tensor, shape: torch.Size) -> bool:
    """Whether a tensor has the shape and, if it is a matrix, was not stored transposed."""
    return value.shape == shape and (value.ndim != 2 or value.is_contiguous())


def _describe(value: Tensor) -> str:
    transposed = value.ndim == 2 and not value.is_contiguous()
    return f"{tuple(value.shape)}{' and stored transposed' if transposed else ''}"
