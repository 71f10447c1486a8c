"""Batches of images hold similar sizes."""

from mfd.images.batch import similar_sizes


def test_batches_keep_landscape_and_portrait_apart() -> None:
    landscape, portrait = (800, 1066), (1066, 800)
    sizes = [landscape, portrait, landscape, portrait, (800, 1199), portrait, landscape]
    assert similar_sizes(sizes, 3) == [[4, 0, 2], [6], [1, 3, 5]]
    assert similar_sizes(sizes, 1) == [[4], [0], [2], [6], [1], [3], [5]]
    assert similar_sizes([], 3) == []


def test_one_size_fills_its_batches() -> None:
    assert similar_sizes([(37, 53)] * 5, 2) == [[0, 1], [2, 3], [4]]
