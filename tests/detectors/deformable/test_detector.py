"""The network behind the contract of a detector."""

from dataclasses import replace

import pytest
import torch

from mfd.detectors.deformable.detector import DeformableDetector
from mfd.errors import DetectorError
from tests.builders.deformable import padded_images, small_detector


def test_the_detector_gives_what_the_contract_says() -> None:
    detector = small_detector()
    images, mask = padded_images((72, 104), (88, 61))
    with torch.no_grad():
        out, c1 = detector(images, mask), detector.stage1(images, mask)
    assert out.queries.shape == (2, 11, 32)
    assert out.boxes.shape == (2, 11, 4)
    assert out.logits.shape == (2, 11, 5)
    assert [m.shape for m in out.memory] == [(2, 11, 13, 32), (2, 5, 6, 32), (2, 3, 3, 32)]
    assert out.c1.shape == (2, 22, 26, 6)
    assert out.c1.equal(c1)


def test_an_image_with_fewer_cells_than_queries_gives_all_queries_and_maps_of_its_own_size() -> (
    None
):
    with torch.no_grad():
        out = small_detector(num_queries=40)(*padded_images((17, 40)))
    assert out.boxes.shape == (1, 40, 4)
    assert out.boxes.isfinite().all()
    assert [m.shape[1:3] for m in out.memory] == [(3, 5), (2, 2), (1, 1)]
    assert out.c1.shape[1:3] == (5, 10)


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function:DeprecationWarning")
def test_the_detector_compiles_as_one_graph() -> None:
    detector = small_detector(encoder_layers=1, decoder_layers=1).requires_grad_(False)
    images, mask = padded_images((64, 96), (96, 64))
    compiled = torch.compile(detector, backend="eager", fullgraph=True)
    with torch.no_grad():
        found, expected = compiled(images, mask), detector(images, mask)
    assert found.boxes.allclose(expected.boxes, atol=1e-6)


def test_under_autocast_boxes_and_token_sums_stay_float32() -> None:
    detector = small_detector()
    images, mask = padded_images((64, 96), (96, 64))
    with torch.no_grad():
        exact = detector(images, mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = detector(images, mask)
    for values in (rough.boxes, rough.logits):
        assert values.dtype == torch.float32
        assert (values != values.bfloat16()).any()
    assert all(level.dtype == torch.float32 for level in rough.memory)
    for ours, theirs in zip(rough.memory, exact.memory, strict=True):
        assert (ours - theirs).abs().max() < 0.1 * theirs.abs().max()


def test_an_encoder_layer_that_does_not_exist_is_refused() -> None:
    detector = small_detector()
    with pytest.raises(DetectorError, match="small has no encoder layer 3; choose 1 to 2"):
        DeformableDetector(detector.network, replace(detector.spec, encoder_layer=3))
