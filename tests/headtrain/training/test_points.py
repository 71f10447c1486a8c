import torch

from mfd.headtrain.training.points import read_at, sample_points


def test_reading_is_bilinear_between_cell_centres_and_flat_at_the_rim() -> None:
    maps = torch.randn(2, 7, 7, dtype=torch.float64)
    points = torch.rand(2, 40, 2, dtype=torch.float64)
    values = read_at(maps, points)
    for n in range(2):
        for p in range(40):
            x, y = (points[n, p] * 7 - 0.5).clamp(0, 6).tolist()
            j, i = min(int(x), 5), min(int(y), 5)
            fx, fy = x - j, y - i
            top = maps[n, i, j] * (1 - fx) + maps[n, i, j + 1] * fx
            bottom = maps[n, i + 1, j] * (1 - fx) + maps[n, i + 1, j + 1] * fx
            assert torch.isclose(values[n, p], top * (1 - fy) + bottom * fy)


def test_points_gather_where_the_logits_are_undecided() -> None:
    logits = torch.full((3, 12, 12), 9.0)
    logits[:, :, 5:7] = 0.0  # undecided in x between 0.42 and 0.58
    points = sample_points(logits, 40, torch.Generator().manual_seed(1), oversample=8.0)
    inside = (points[..., 0] > 0.3) & (points[..., 0] < 0.7)
    assert (inside.sum(1) >= 30).all()
    assert points.shape == (3, 40, 2)
    assert ((points >= 0) & (points <= 1)).all()


def test_the_seed_alone_decides_the_points() -> None:
    logits = torch.randn(2, 9, 9)
    first, again, other = (
        sample_points(logits, 20, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_boxes_give_no_points() -> None:
    points = sample_points(torch.zeros(0, 8, 8), 16, torch.Generator())
    assert points.shape == (0, 16, 2)
    assert read_at(torch.zeros(0, 8, 8), points).shape == (0, 16)
