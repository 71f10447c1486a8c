"""The weights within a checkpoint, out of the wrappings that training tools put around them."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

_MAX_DEPTH = 3
_FIRST = (
    "ema.module",  # RT-DETR, D-FINE and DEIM, which are evaluated by their averaged weights
    "model",
    "ema_model",
    "model_ema",
    "state_dict",
)
_WRAPPER = re.compile(r"(?:(?<=^)|(?<=\.))(?:module|_orig_mod)\.")
_COUNTERS = {"n_averaged"}  # beside the weights that `torch.optim.swa_utils` averages


@dataclass(frozen=True)
class StateDict:
    """Named weights, and where in a checkpoint they were.

    Attributes:
        weights: by name.
        place: the names that lead to them, joined by dots; empty for the whole file.
        removed: what was taken off the names, for a message; empty if nothing was.
    """

    weights: dict[str, Tensor]
    place: str = ""
    removed: str = ""

    @property
    def remark(self) -> str:
        """What is worth saying about how the weights were found; empty where that is usual."""
        place = f"weights of {self.place!r}" if self.place not in ("", "model") else ""
        prefix = f"{self.removed} removed from their names" if self.removed else ""
        return ", ".join(filter(None, [place or (prefix and "weights"), prefix]))


def state_dicts(content: Any) -> Iterator[StateDict]:
    """Everything in a checkpoint that could be a network's weights, the likeliest first.

    First as they are; then without the `module.` and `_orig_mod.` of DistributedDataParallel and
    torch.compile; then without the first parts that all names share.
    """
    places = dict(_places(content))
    order = sorted(
        places, key=lambda place: _FIRST.index(place) if place in _FIRST else len(_FIRST)
    )
    for place in order:
        yield StateDict(places[place], place)
    for place in order:
        yield from _unwrapped(places[place], place)


def best_fit(content: Any, fit: Callable[[Mapping[str, Tensor]], float]) -> StateDict | None:
    """The first state dict that fits whole, else the one that fits best; None if there is none.

    Args:
        fit: between 0 and 1, where 1 is a state dict that fits whole.
    """
    best, best_share = None, -1.0
    for candidate in state_dicts(content):
        share = fit(candidate.weights)
        if share == 1:
            return candidate
        if share > best_share:
            best, best_share = candidate, share
    return best


def _places(content: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every mapping from names to tensors, with the names that lead to it."""
    if not isinstance(content, Mapping) or not content or len(place) > _MAX_DEPTH:
        return
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        yield ".".join(place), dict(content)
        return
    for key, value in content.items():
        if isinstance(key, str):
            yield from _places(value, (*place, key))


def _unwrapped(weights: Mapping[str, Tensor], place: str) -> Iterator[StateDict]:
    """The weights under ever shorter names."""
    plain = {_WRAPPER.sub("", key): v for key, v in weights.items() if key not in _COUNTERS}
    removed = sorted({found for key in weights for found in _WRAPPER.findall(key)})
    if removed:
        yield StateDict(plain, place, " and ".join(map(repr, removed)))
    while len(shared := {key.partition(".")[0] for key in plain}) == 1:
        prefix = f"{shared.pop()}."
        if not all(key.startswith(prefix) for key in plain):
            return
        plain = {key.removeprefix(prefix): value for key, value in plain.items()}
        removed = [*removed, prefix]
        yield StateDict(plain, place, " and ".join(map(repr, removed)))
