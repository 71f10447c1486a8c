"""FocalNet's levels; whole models are compared in tests/detectors/test_official."""

import torch

from mfd.detectors.backbones.focalnet import FocalNet


def test_all_four_stages_are_levels_and_the_stage_1_map_is_not_normed() -> None:
    backbone = FocalNet(8, depths=(1, 1, 2, 1)).eval()
    c1 = backbone.stage1(torch.randn(1, 3, 39, 70))
    maps = backbone.levels(c1)
    shapes = [m.shape for m in maps]
    assert shapes == [(1, 8, 10, 18), (1, 16, 5, 9), (1, 32, 3, 5), (1, 64, 2, 3)]
    assert backbone.channels == (8, 16, 32, 64)
    normed = torch.nn.functional.layer_norm(c1.permute(0, 2, 3, 1), (8,))
    assert maps[0].permute(0, 2, 3, 1).allclose(normed, atol=1e-5)


def test_far_pixels_matter_through_the_global_context_only() -> None:
    backbone = FocalNet(8, depths=(1, 1, 1, 1)).eval()
    block = backbone.stages[0].layers[0]
    images = torch.randn(1, 3, 160, 160)
    changed = images.clone()
    changed[..., -4:, -4:] += 5
    for parameter in block.modulation.parameters():
        torch.nn.init.normal_(parameter)
    torch.nn.init.ones_(block.gamma_1)
    first, second = (backbone.stage1(x)[..., 0, 0] for x in (images, changed))
    assert not first.allclose(second, atol=1e-6)
    with torch.no_grad():
        block.modulation.projection_in.weight[-1] = 0.0
        block.modulation.projection_in.bias[-1] = 0.0
    first, second = (backbone.stage1(x)[..., 0, 0] for x in (images, changed))
    assert first.equal(second)
