"""YOLOS: images of any size, each by itself, and sides as its image processor makes them."""

from pathlib import Path

import pytest
import torch
from transformers.models.yolos.image_processing_pil_yolos import get_size_with_aspect_ratio_yolos

from mfd.detectors import load_detector
from mfd.errors import DetectorError
from mfd.images import collate_images, input_size
from tests.detectors.hf.tiny_models import build, save


def test_an_image_in_a_batch_is_what_transformers_computes_of_it_alone(tmp_path: Path) -> None:
    model = build("yolos")
    detector = load_detector(save("yolos", tmp_path, model=model))
    images = [torch.randn(3, 64, 160), torch.randn(3, 112, 80)]
    batch, padding_mask = collate_images(images)
    found = detector(batch, padding_mask)
    assert found.memory[0].shape == (2, 7, 10, 24)
    for row, image in enumerate(images):
        with torch.no_grad():
            own = model(pixel_values=image[None])
        tokens, queries = own.last_hidden_state[0, 1:-11], own.last_hidden_state[0, -11:]
        rows, columns = image.shape[1] // 16, image.shape[2] // 16
        maps = found.memory[0][row, :rows, :columns]
        for ours, theirs in (
            (maps, tokens.view(rows, columns, 24)),
            (found.queries[row], queries),
            (found.boxes[row], own.pred_boxes[0]),
            (found.logits[row], own.logits[0]),
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_sides_are_those_of_transformers_image_processor(tmp_path: Path) -> None:
    size = {"shortest_edge": 512, "longest_edge": 1333}
    spec = load_detector(save("yolos", tmp_path, size=size)).spec
    for size_hw in ((480, 640), (640, 427), (500, 333), (375, 1242), (30, 2000), (512, 512)):
        wanted = get_size_with_aspect_ratio_yolos(size_hw, 512, 1333)
        assert input_size(size_hw, spec.preprocessing) == (max(16, wanted[0]), max(16, wanted[1]))


def test_an_encoder_layer_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no encoder layer 2 .* offers no choice"):
        load_detector(save("yolos", tmp_path), encoder_layer=2)
