"""C1 computed from images when they are in a batch: the maps of the whole detector."""

from pathlib import Path

import pytest
import torch

from mfd.detectors import C1Source, Detector, PendingC1, detect, load_detector
from mfd.errors import DetectorError
from mfd.images import LoadedImage

TINY = Path(__file__).parents[1] / "builders" / "tiny.py"


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo")


def image(height: int, width: int) -> LoadedImage:
    return LoadedImage(torch.randn(3, height, width), (height, width))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pending_c1_becomes_each_images_own_map_in_order(demo: Detector, precision: str) -> None:
    images = [image(64, 90), image(97, 66), image(63, 91), image(31, 50)]  # the last: enlarged
    pending = PendingC1.of([C1Source(demo, each, precision) for each in images])
    assert pending.rows == [[0, 2], [1], [3]]  # images of one padded size together
    maps, sizes_hw = pending.each(torch.clone).compute()
    assert maps.dtype == torch.float32
    for whole, size, each in zip(maps, sizes_hw.tolist(), images, strict=True):
        (alone,) = detect(demo, [each], [1], precision=precision)
        assert alone.c1 is not None
        assert tuple(size) == tuple(alone.c1.shape[:2])
        atol = 1e-5 if precision == "float32" else 0.02
        torch.testing.assert_close(whole[: size[0], : size[1]], alone.c1, rtol=0, atol=atol)
        assert whole[size[0] :].count_nonzero() == whole[:, size[1] :].count_nonzero() == 0


def test_pending_c1_of_one_size_is_computed_at_once(demo: Detector) -> None:
    calls, stage1 = [], demo.stage1
    demo.stage1 = lambda *batch: calls.append(len(batch[0])) or stage1(*batch)
    try:
        maps, sizes_hw = PendingC1.of([C1Source(demo, image(64, 90)) for _ in range(3)]).compute()
    finally:
        del demo.stage1
    assert calls == [3]
    assert sizes_hw.tolist() == [[16, 23]] * 3
    assert maps.shape[:3] == (3, 16, 23)


def test_pending_c1_needs_a_detector_with_stage1() -> None:
    detector = load_detector(f"{TINY}:detector")
    detector.__class__ = torch.nn.Module
    with pytest.raises(DetectorError, match=r"no stage1.*extract with --profile full"):
        C1Source(detector, image(40, 53))
