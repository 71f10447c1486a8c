"""Pictures and the visible parts of what is in them."""

import numpy as np
import pytest

from mfd.demo.dataset import random_scene
from mfd.demo.scene import SceneConfig, compose


def _scenes(count, config=None):
    return [compose(np.random.default_rng([3, i]), (163, 207), config) for i in range(count)]


def test_the_same_seed_gives_the_same_picture_and_another_seed_another():
    first, again = (compose(np.random.default_rng(5), (97, 121)) for _ in range(2))
    other = compose(np.random.default_rng(6), (97, 121))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_masks_of_one_picture_never_overlap():
    for scene in _scenes(20):
        covered = np.zeros(scene.image.shape[:2], dtype=int)
        for item in scene.objects:
            assert item.mask.any()
            covered += item.mask
        assert covered.max(initial=0) <= 1


def test_an_object_differs_from_what_is_behind_it():
    contrasts = []
    for scene in _scenes(20, SceneConfig(crowd_probability=0)):
        background = scene.image[~np.any([o.mask for o in scene.objects], axis=0)].mean(axis=0)
        contrasts += [
            np.abs(scene.image[item.mask].mean(axis=0) - background).max() for item in scene.objects
        ]
    assert np.mean(np.array(contrasts) > 15) > 0.9


def test_sizes_cover_cocos_small_medium_and_large():
    scenes = [random_scene(np.random.default_rng([4, i])) for i in range(60)]
    areas = np.array([item.mask.sum() for scene in scenes for item in scene.objects])
    small, large = areas < 32**2, areas >= 96**2
    assert small.mean() > 0.2
    assert (~small & ~large).mean() > 0.2
    assert large.mean() > 0.01


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0), (1.0, 15)])
def test_crowds_appear_as_often_as_asked(probability, expected):
    scenes = _scenes(15, SceneConfig(crowd_probability=probability))
    assert sum(item.iscrowd for scene in scenes for item in scene.objects) == expected
