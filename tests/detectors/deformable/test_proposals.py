"""Which tokens may propose boxes, and which are selected."""

from dataclasses import replace

import torch

from mfd.detectors.deformable.levels import build_levels
from mfd.detectors.deformable.proposals import Proposals, grid_boxes
from mfd.detectors.dino import DINO
from mfd.detectors.hdetr import HDETR


def test_squares_stand_on_their_cells_and_double_with_each_level() -> None:
    levels = build_levels(torch.zeros(1, 48, 64, dtype=torch.bool), ((6, 8), (3, 4)))
    logits, usable = grid_boxes(levels)
    assert usable.all()
    boxes = logits.sigmoid()
    assert boxes[0, 8 + 2].allclose(torch.tensor([2.5 / 8, 1.5 / 6, 0.05, 0.05]))
    assert boxes[0, 48 + 4 + 3].allclose(torch.tensor([3.5 / 4, 1.5 / 3, 0.1, 0.1]))


def test_cells_at_the_edge_of_a_side_of_fifty_and_padding_propose_nothing() -> None:
    mask = torch.zeros(2, 40, 51, dtype=torch.bool)
    mask[1, :, 45:] = True
    levels = build_levels(mask, ((40, 51),))
    logits, usable = (value.unflatten(1, (40, 51)) for value in grid_boxes(levels))
    assert not usable[0, :, [0, -1]].any()
    assert usable[0, :, 1:-1].all()
    assert usable[1, :, :45].all()
    assert not usable[1, :, 45:].any()
    assert logits[~usable].isposinf().all()
    exactly_fifty = build_levels(torch.zeros(1, 50, 49, dtype=torch.bool), ((50, 49),))
    usable = grid_boxes(exactly_fifty)[1].unflatten(1, (50, 49))
    assert not usable[0, [0, -1]].any()
    assert usable[0, 1:-1].all()


def test_tokens_are_ranked_by_class_0_or_by_their_best_class() -> None:
    levels = build_levels(torch.zeros(2, 24, 40, dtype=torch.bool), ((6, 10), (3, 5)))
    memory = torch.randn(2, 75, 32)
    for base, by in ((HDETR, lambda z: z[..., 0]), (DINO, lambda z: z.amax(-1))):
        proposals = Proposals(replace(base, dim=32, num_classes=4)).eval()
        found = proposals(memory, levels, 9)
        scores = by(found.logits)
        assert found.tokens.equal(scores.sort(dim=1, descending=True).indices[:, :9])


def test_training_gives_the_same_selection_and_all_boxes_besides() -> None:
    levels = build_levels(torch.zeros(2, 24, 40, dtype=torch.bool), ((6, 10), (3, 5)))
    memory = torch.randn(2, 75, 32)
    proposals = Proposals(replace(DINO, dim=32, num_classes=4))
    torch.nn.init.normal_(proposals.box_head.layers[-1].weight)
    trained, evaluated = (proposals.train(mode)(memory, levels, 9) for mode in (True, False))
    assert trained.tokens.equal(evaluated.tokens)
    assert trained.boxes.allclose(evaluated.boxes, atol=1e-6)
    assert trained.all_boxes is not None
    assert evaluated.all_boxes is None
    rows = torch.arange(2)[:, None]
    assert trained.all_boxes[rows, trained.tokens].equal(trained.boxes)
