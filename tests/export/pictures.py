"""Pictures for exported files, and the comparison of what these find with what mfd does."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from mfd.headtrain import Prediction


def some_picture(height: int, width: int) -> Image.Image:
    """Smooth noise."""
    random = np.random.default_rng(height)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def assert_found(found: Sequence[np.ndarray], expected: Sequence[Prediction]) -> None:
    """The file's instances are mfd's, but for the last digits and pixels at the threshold."""
    category, score, quality, box, mask = found
    assert expected
    assert category.tolist() == [e.category_id for e in expected]
    assert score == pytest.approx([e.class_score for e in expected], abs=1e-5)
    assert quality == pytest.approx([e.quality for e in expected], abs=1e-4)
    assert box == pytest.approx(np.array([e.box_xyxy for e in expected]), abs=1e-2)
    assert mask.shape == (len(expected), *expected[0].mask.shape)
    assert (mask != [e.mask for e in expected]).mean() < 1e-3
    assert mask.any()
    assert not mask.all()
