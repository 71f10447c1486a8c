"""Training with both operations: compiled as eager, in low precision as exact as PyTorch's own."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mfd.kernels import ms_deform_attn_fused, roi_align_upsampled
from tests.kernels.deform_attn.inputs import from_fused
from tests.kernels.oracle import DEVICE, roi_align_loops

MAP, BOXES = (3, 5), torch.tensor([(1.0, 2.0, 6.5, 5.0), (3.5, 0.0, 9.0, 5.5)])
STEPS = 2  # of few programs: Triton's interpreter takes its time over each


class Attention(nn.Module):
    """Deformable attention over a map, then the cells of two boxes on the map up-sampled."""

    def __init__(self, attend: Callable[..., Tensor], read: Callable[..., Tensor]) -> None:
        super().__init__()
        self.attend, self.read = attend, read
        self.value, self.out = nn.Linear(12, 12), nn.Linear(12, 3)
        self.offsets, self.logits = nn.Linear(12, 3 * 2), nn.Linear(12, 3)

    def forward(self, pixels: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
        """(N, 2, 2, 3) from pixels (B, S, 12)."""
        batch, area, _ = pixels.shape
        shapes = torch.tensor([MAP])
        y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in MAP), indexing="ij")
        reference = torch.stack([x / MAP[1], y / MAP[0]], -1).view(1, area, 1, 2).to(pixels)
        attended = self.attend(
            self.value(pixels).view(batch, area, 1, 12),
            shapes,
            self.offsets(pixels).view(batch, area, 1, 3, 2),
            self.logits(pixels).view(batch, area, 1, 3),
            reference.expand(batch, -1, -1, -1),
        )
        maps = self.out(attended.flatten(2)).view(batch, *MAP, 3)
        return self.read(maps, boxes.to(pixels), images)


def read_cells(maps: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
    sizes = torch.tensor([MAP] * len(maps), device=maps.device)
    return roi_align_upsampled(maps, boxes, images, 2, coarse_hw=sizes, fine_hw=2 * sizes)


def read_cells_by_loops(maps: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
    large = interpolate(maps.permute(0, 3, 1, 2), scale_factor=2.0, mode="bilinear")
    sizes = torch.tensor([large.shape[2:]] * len(maps))
    return roi_align_loops(large.permute(0, 2, 3, 1), boxes, images, 2, sizes)


def trained(model: nn.Module, inputs: tuple[Tensor, ...], autocast: torch.dtype | None) -> Tensor:
    """All weights after a few steps, the gradients scaled as for float16."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler(DEVICE, init_scale=1024.0, enabled=autocast is not None)
    for _ in range(STEPS):
        with torch.autocast(DEVICE, autocast, enabled=autocast is not None):
            out = model(*inputs)
        loss = (out.to(inputs[0].dtype) - 1).square().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == (1024.0 if autocast is not None else 1.0)  # no step was skipped
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def make_inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn(1, MAP[0] * MAP[1], 12).to(DEVICE, dtype),
        BOXES.to(DEVICE),
        torch.tensor([0, 0], device=DEVICE),
    )


def test_compiled_training_steps_are_the_eager_ones() -> None:
    model, inputs = (
        Attention(ms_deform_attn_fused, read_cells).to(DEVICE),
        make_inputs(torch.float32),
    )
    other = copy.deepcopy(model)
    compiled = torch.compile(
        other, fullgraph=True, backend="inductor" if DEVICE == "cuda" else "aot_eager"
    )
    torch.testing.assert_close(
        trained(compiled, inputs, None), trained(model, inputs, None), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.float16])
def test_training_in_autocast_is_as_exact_as_with_pytorchs_own_sampling(
    path: str, autocast: torch.dtype
) -> None:
    if (path, autocast, DEVICE) == ("triton", torch.bfloat16, "cpu"):
        pytest.skip("Triton's interpreter cuts numbers off to bfloat16 instead of rounding them")
    model, inputs = (
        Attention(ms_deform_attn_fused, read_cells).to(DEVICE),
        make_inputs(torch.float32),
    )
    plain, exact = copy.deepcopy(model), copy.deepcopy(model).double()
    for oracle in (plain, exact):
        oracle.attend, oracle.read = from_fused, read_cells_by_loops
    wide = tuple(t.double() if t.is_floating_point() else t for t in inputs)
    truth = trained(exact, wide, None)
    error, allowed = (
        (trained(module, inputs, autocast).double() - truth).norm() for module in (model, plain)
    )
    assert error <= 2 * allowed, f"error {error:.1e}, PyTorch's {allowed:.1e}"
