"""Ours and every implementation it is compared with, as functions of the same inputs."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from benchmarks.inputs import (
    AttentionCase,
    BoxCase,
    grid_sample_attention,
    grid_sample_roi_align,
    locations,
    locations_and_weights,
    upsampled,
)
from mfd.kernels import add_layer_norm, ms_deform_attn_fused, roi_align_upsampled

Inputs = dict[str, Tensor]
Call = Callable[[Inputs], Tensor]


def missing(*packages: str) -> list[str]:
    """One line for every peer that is not installed."""
    return [f"{name}: not installed" for name in packages if find_spec(name) is None]


def attention_calls(case: AttentionCase, compiler: str | None) -> dict[str, Call]:
    """Ours and every peer, each from offsets and logits; `compiler` None: nothing is compiled."""

    def ours(i: Inputs) -> Tensor:
        return ms_deform_attn_fused(
            i["value"], i["shapes"], i["offsets"], i["logits"], i["reference"]
        )

    def plain(i: Inputs) -> Tensor:
        where, weights = locations_and_weights(
            i["shapes"], i["offsets"], i["logits"], i["reference"]
        )
        return grid_sample_attention(i["value"], case.shapes, where, weights)

    calls: dict[str, Call] = {"ours": ours, "grid_sample": plain}
    if find_spec("deformops"):
        from deformops.registry import Backend, msda

        for label, fp32acc in (("deformops, fp32 sums", True), ("deformops, own sums", False)):

            def deformops(i: Inputs, fp32acc: bool = fp32acc) -> Tensor:
                where = locations(i["shapes"], i["offsets"], i["reference"])
                starts = i["shapes"].prod(1).cumsum(0) - i["shapes"].prod(1)
                out = msda(  # takes the softmax in its kernel, too
                    i["value"], i["shapes"], starts, where, i["logits"],
                    softmax=True, backend=Backend.TRITON, fp32acc=fp32acc,
                )  # fmt: skip
                return out.unflatten(-1, (case.heads, case.dim))

            calls[label] = deformops
    if compiler is not None:
        calls["grid_sample compiled"] = torch.compile(plain, backend=compiler)
    return calls


def attention_inputs(case: AttentionCase, dtype: torch.dtype, device: str) -> Inputs:
    return case.make(dtype, device) | {"shapes": torch.tensor(case.shapes, device=device)}


def box_calls(case: BoxCase) -> dict[str, Call]:
    """From the stride-8 map and the neck's map to the cells; ours never builds their sum."""

    def ours(i: Inputs) -> Tensor:
        return roi_align_upsampled(
            i["coarse"], i["boxes"], i["images"], case.cells,
            coarse_hw=i["coarse_hw"], fine_hw=i["fine_hw"], add=i["add"],
        )  # fmt: skip

    def plain(i: Inputs) -> Tensor:
        large = upsampled(i["coarse"], case.fine)
        return grid_sample_roi_align(large, i["boxes"], i["images"], case.cells) + i["add"]

    calls: dict[str, Call] = {"ours": ours, "grid_sample": plain}
    if find_spec("torchvision"):
        from torchvision.ops import roi_align as theirs

        def torchvision(i: Inputs) -> Tensor:
            large = upsampled(i["coarse"], case.fine).permute(0, 3, 1, 2)
            large = large if large.dtype != torch.bfloat16 else large.float()  # it has none
            rois = torch.cat([i["images"][:, None].to(i["boxes"]), i["boxes"]], 1).to(large)
            cells = theirs(large, rois, case.cells, 1.0, 2, True)
            return cells.permute(0, 2, 3, 1).to(i["add"]) + i["add"]

        calls["torchvision"] = torchvision
    return calls


def box_inputs(case: BoxCase, dtype: torch.dtype, device: str) -> Inputs:
    inputs = case.make(dtype, device)
    inputs["add"] = torch.randn_like(inputs["grad"])
    return inputs


def norm_calls() -> dict[str, Call]:
    """Ours, and PyTorch's sum and LayerNorm in the type of the tokens."""

    def ours(i: Inputs) -> Tensor:
        return add_layer_norm(i["x"], i["y"], i["weight"], i["bias"])

    def plain(i: Inputs) -> Tensor:
        x, dim = i["x"], i["x"].shape[-1:]
        return layer_norm(x + i["y"], dim, i["weight"].to(x), i["bias"].to(x))

    return {"ours": ours, "PyTorch": plain}
