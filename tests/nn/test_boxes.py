import torch

from mfd.nn.boxes import cxcywh_to_xyxy, pairwise_giou, xyxy_to_cxcywh


def test_converting_there_and_back_changes_nothing() -> None:
    boxes = torch.rand(3, 5, 4, dtype=torch.float64)
    assert torch.allclose(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes)


def test_corners_are_half_a_size_from_the_centre() -> None:
    corners = cxcywh_to_xyxy(torch.tensor([[10.0, 20.0, 4.0, 6.0]]))
    assert corners.tolist() == [[8.0, 17.0, 12.0, 23.0]]


def test_giou_counts_the_cells_of_a_grid_right() -> None:
    """Against counting the unit squares of a 13 x 17 grid that whole-number boxes cover."""
    generator = torch.Generator().manual_seed(3)
    first = torch.randint(0, 6, (9, 2), generator=generator)
    boxes = torch.cat((first, first + torch.randint(1, 7, (9, 2), generator=generator)), 1)
    y, x = torch.meshgrid(torch.arange(13), torch.arange(17), indexing="ij")
    covered = torch.stack(
        [(x >= x0) & (x < x1) & (y >= y0) & (y < y1) for x0, y0, x1, y1 in boxes.tolist()]
    )
    giou = pairwise_giou(boxes.double(), boxes.double())
    for i in range(9):
        for j in range(9):
            both = (covered[i] & covered[j]).sum().item()
            either = (covered[i] | covered[j]).sum().item()
            corners = torch.stack((boxes[i], boxes[j]))
            hull = (corners[:, 2:].amax(0) - corners[:, :2].amin(0)).prod().item()
            expected = both / either - (hull - either) / hull
            assert abs(giou[i, j].item() - expected) < 1e-12


def test_giou_of_boxes_without_area_is_finite() -> None:
    point = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    assert pairwise_giou(point, point).item() == 0
    assert pairwise_giou(point, torch.tensor([[0.0, 0.0, 1.0, 1.0]])).item() == 0
