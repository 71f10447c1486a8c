"""What stands around an exported model prepares a picture, and makes instances, as mfd does."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from mfd.detectors import load_detector
from mfd.export.parts import image_part
from mfd.headtrain import MaskHead, Predictor, Shown
from mfd.images import Preprocessing, prepare_image
from tests.builders import tiny
from tests.builders.batches import randomise
from tests.builders.runs import HEAD
from tests.export.pictures import assert_found, some_picture

pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from mfd.export.picture import before_model, behind_model  # noqa: E402  needs onnx

SIZES_HW = [(48, 64), (95, 61), (40, 301), (700, 3), (40, 40)]


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing(),
        Preprocessing(40, 64, multiple_of=16),
        Preprocessing(40, 2000),
        Preprocessing(size_hw=(50, 30), mean=(0, 0, 0), std=(1, 1, 1)),
    ],
)
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_picture_is_prepared_as_mfd_does(how: Preprocessing, size_hw: tuple[int, int]) -> None:
    picture = some_picture(*size_hw)
    facts = {"preprocessing": {**asdict(how), "longer_side": how.max_side}, "padding_step": 32}
    session = onnxruntime.InferenceSession(before_model(facts, 40).SerializeToString())
    images, image_hw, found_hw = session.run(None, {"image": np.array(picture)})
    expected = prepare_image(picture, how).pixels.numpy()
    height, width = expected.shape[1:]
    assert tuple(found_hw) == size_hw
    assert tuple(image_hw) == (height, width)
    assert images.shape == (1, 3, *(max(64, -(-side // 32) * 32) for side in (height, width)))
    assert not images[..., height:, :].any()
    assert not images[..., width:].any()
    levels = (images[0, :, :height, :width] - expected) * np.reshape(how.std, (3, 1, 1)) * 255
    # from version 13 on, Pillow rounds between the axes in another order where heights shrink more
    shrinks = height / size_hw[0] < width / size_hw[1]
    assert np.abs(levels).max() <= (1.001 if shrinks else 0)


@pytest.mark.parametrize("paste", ["probabilities", "logits"])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_instances_are_those_that_mfd_predicts(paste: str, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(3)
    detector = load_detector(f"{tiny.__file__}:detector")
    config = replace(HEAD, frame_margin=0.2, paste=paste)
    head = randomise(MaskHead(config, detector.spec)).eval()
    picture = some_picture(*size_hw)
    (expected,) = Predictor(detector, head, {})([picture], Shown(min_score=0.3))
    image = prepare_image(picture, detector.spec.preprocessing)
    part = image_part(detector, head, [image])
    with torch.no_grad():
        found = part.module(*part.samples[0])
    inputs = {name: value[:1].numpy() for name, value in zip(part.outputs, found, strict=True)}
    inputs |= {"size_hw": np.array(size_hw), "min_score": np.array([0.3], np.float32)}
    facts = {"threshold": 0.5 if paste == "probabilities" else 0.0}
    session = onnxruntime.InferenceSession(behind_model(facts).SerializeToString())
    assert_found(session.run(None, inputs), expected)
    inputs["min_score"][:] = 1.1
    assert [len(value) for value in session.run(None, inputs)] == [0] * 5
