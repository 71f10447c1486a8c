"""RoIAlign as an operator: compiler, export, determinism."""

import torch

from mfd.kernels import roi_align, roi_align_upsampled
from mfd.kernels.roi_align.taps import axis_taps
from tests.kernels.operators import opcheck
from tests.kernels.roi_align.inputs import SIZES, make_inputs


def test_operators_pass_opcheck() -> None:
    features, boxes, images = make_inputs(torch.float32)
    sizes = SIZES.to(features.device)[images]
    y = axis_taps(boxes[:, 1], boxes[:, 3], sizes[:, 0], 3, 2)
    x = axis_taps(boxes[:, 0], boxes[:, 2], sizes[:, 1], 3, 2)
    add = torch.randn(len(boxes), 3, 3, 5, device=features.device, requires_grad=True)
    opcheck(torch.ops.mfd.roi_read.default, (features, *y, *x, images, add))
    grad = (add.detach(), *y, *x, images, *features.shape[:3])
    opcheck(torch.ops.mfd.roi_read_grad.default, grad)
    opcheck(torch.ops.mfd.roi_taps.default, (boxes, images, SIZES.to(images), None, 3, 2, True))


def test_compiled_call_has_no_graph_break_and_the_same_gradient() -> None:
    features, boxes, images = make_inputs(torch.float32)

    def read(map_: torch.Tensor) -> torch.Tensor:
        sizes = SIZES.to(map_.device)
        return roi_align_upsampled(map_, boxes, images, 3, coarse_hw=sizes, fine_hw=2 * sizes)

    compiled = torch.compile(read, fullgraph=True, backend="aot_eager")
    results = [
        torch.autograd.grad(call(features).square().sum(), features) for call in (read, compiled)
    ]
    torch.testing.assert_close(*results)


def test_exported_program_computes_the_same() -> None:
    class Read(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return roi_align(*inputs, 3)

    inputs = tuple(t.detach() for t in make_inputs(torch.float32))
    exported = torch.export.export(Read(), inputs)
    torch.testing.assert_close(exported.module()(*inputs), roi_align(*inputs, 3))


def test_two_runs_agree_in_every_bit(path: str) -> None:
    features, boxes, images = make_inputs(torch.float32)
    runs = []
    for _ in range(2):
        cells = roi_align(features, boxes, images, 3)
        runs.append((cells, *torch.autograd.grad(cells.square().sum(), features)))
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))
