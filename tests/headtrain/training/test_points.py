import numpy as np
import torch

from mfd.headtrain.config.train import PointSampling
from mfd.headtrain.sources.sampler import mixed
from mfd.headtrain.training.points import read_at, sample_points, uniform


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
    points = sample_points(logits, torch.arange(3), PointSampling(40 / 12**2, oversample=8.0))
    inside = (points[..., 0] > 0.3) & (points[..., 0] < 0.7)
    assert (inside.sum(1) >= 30).all()
    assert points.shape == (3, 40, 2)
    assert ((points >= 0) & (points <= 1)).all()


def test_points_are_the_least_decided_candidates_and_even_ones() -> None:
    logits, keys = torch.randn(3, 8, 8), torch.arange(3)
    points = sample_points(logits, keys, PointSampling(0.5, oversample=2.0, importance=0.25))
    candidates, even = uniform(keys, 2 * (64 + 24)).unflatten(1, (-1, 2)).split([64, 24], 1)
    order = read_at(logits, candidates).abs().argsort(1)
    for box in range(3):
        assert torch.equal(points[box, :8], candidates[box, order[box, :8]])
    assert torch.equal(points[:, 8:], even)


def test_points_of_a_box_follow_from_its_key_whatever_the_other_boxes() -> None:
    logits, keys = torch.randn(3, 9, 9), torch.tensor([7, -(2**63), 7])
    whole = sample_points(logits, keys, PointSampling())
    for box in range(3):
        alone = sample_points(logits[box, None], keys[box, None], PointSampling())
        assert torch.equal(alone, whole[box, None])
    other = sample_points(logits, keys + 1, PointSampling())
    assert not (whole == other).any()


def test_points_are_a_share_of_the_cells_and_never_none() -> None:
    logits, keys = torch.randn(2, 12, 12), torch.arange(2)
    for share, count in ((0.25, 36), (0.5, 72), (1.0, 144), (1e-6, 1)):
        assert sample_points(logits, keys, PointSampling(share)).shape == (2, count, 2)


def test_draws_are_splitmix64_of_their_key() -> None:
    """Against unsigned arithmetic in numpy."""
    keys = torch.tensor([0, 5, -3, 2**63 - 1, -(2**63)])
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = keys.numpy().view(np.uint64)
    for column in range(4):
        bits = mixed(state + np.uint64(column * int(golden) % 2**64))
        expected = (bits >> np.uint64(40)).astype(np.float64) / 2**24
        assert uniform(keys, 4)[:, column].tolist() == expected.tolist()


def test_draws_are_even_and_independent() -> None:
    """Of neighbouring keys and of neighbouring places: means, variances and correlations."""
    draws = uniform(torch.arange(300), 400).double() - 0.5
    assert abs(draws.mean()) < 0.004  # five sigma are 0.0042
    assert draws.square().mean().sub(1 / 12).abs() < 0.0012
    for shifted in (draws[1:] * draws[:-1], draws[:, 1:] * draws[:, :-1]):
        assert shifted.mean().abs() < 0.0012


def test_no_boxes_give_no_points() -> None:
    points = sample_points(torch.zeros(0, 8, 8), torch.zeros(0, dtype=torch.long), PointSampling())
    assert points.shape == (0, 16, 2)
    assert read_at(torch.zeros(0, 8, 8), points).shape == (0, 16)
