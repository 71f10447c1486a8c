"""Floating-point operations of the operators, for everything that counts by PyTorch's formulas.

A multiply-add is two operations, as in PyTorch's own. Counted are those on channels; finding the
pixels and their weights costs little beside them.

The registry lies in `torch.utils.flop_counter`, which imports Triton: 0.15 s that programs which
count nothing need not wait for. So the formulas enter it when somebody imports it.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from math import prod
from types import ModuleType
from typing import Any

from mfd.kernels.register import operators

REGISTRY = "torch.utils.flop_counter"
Shape = Sequence[int]


def deform_attn_flops(value: Shape, shapes: Shape, points: Shape, *_: Any, **__: Any) -> int:
    """Each point of each head adds the four pixels around it, D channels wide.

    Args:
        value: (B, S, M, D).
        shapes: (L, 2).
        points: (B, Q, M, T, 2).
    """
    return 2 * 4 * prod(points[:-1]) * value[-1]


def deform_attn_gradients_flops(
    grad: Shape,
    value: Shape,
    shapes: Shape,
    points: Shape,
    weights: Shape,
    reference: Shape | None,
    need_value: bool,
    need_points: bool,
    **_: Any,
) -> int:
    """As often as forward: each of the four pixels is added to, or multiplied with the gradient."""
    return (need_value + need_points) * deform_attn_flops(value, shapes, points)


def roi_read_flops(features: Shape, y: Shape, y_weight: Shape, x: Shape, *_: Any, **__: Any) -> int:
    """Each cell adds as many pixels as its two tables have taps, C channels wide.

    Args:
        features: the map (B, H, W, C), or backward the gradient of the cells (N, s, s, C), which
            are added to as many pixels.
        y: (N, s, T).
        x: (N, s, T'), T and T' as wide as the tables; there they are merged only on a CPU.
    """
    return 2 * prod(y) * prod(x[1:]) * features[-1]


def register_with_pytorch() -> None:
    """Enter the formulas into PyTorch's registry, now or as soon as it is imported."""
    if REGISTRY in sys.modules:
        _register(sys.modules[REGISTRY])
    else:
        sys.meta_path.insert(0, _Registrar())


def _register(registry: ModuleType) -> None:
    ours, register = operators(), registry.register_flop_formula
    register(ours.deform_attn)(deform_attn_flops)
    register(ours.deform_attn_gradients)(deform_attn_gradients_flops)
    register([ours.roi_read, ours.roi_read_grad])(roi_read_flops)


class _Registrar(MetaPathFinder):
    """Waits for the import of the registry, finds it as usual and registers once it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(module)

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
