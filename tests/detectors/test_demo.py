"""The demo detector: its file, its size, and what autocast does to its boxes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from mfd.demo.dataset import random_scene
from mfd.detectors import detect_all, load_detector
from mfd.detectors.demo.detector import WEIGHTS, demo_network, load_demo, save_demo
from mfd.detectors.image_features import ImageFeatures
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError
from mfd.images import LoadedImage, prepare_image
from mfd.images.preprocessing import Preprocessing

SPEC = DetectorSpec(
    name="demo",
    dim=64,
    strides=(8, 16, 32),
    num_queries=60,
    category_ids=(1, 3, 4, 7, 9),
    c1_channels=32,
    weights_digest="",
    preprocessing=Preprocessing(shorter_side=160, longer_side=256),
    encoder_layer=1,
)


def test_a_saved_network_comes_back_without_its_extra_queries(tmp_path: Path) -> None:
    network = demo_network(5, extra_queries=13).eval()
    path = tmp_path / "demo.safetensors"
    save_demo(network, SPEC, path)
    assert path.stat().st_size < 4e6
    detector = load_demo(path).eval()
    assert detector.spec == SPEC
    images, mask = torch.randn(2, 3, 130, 171), torch.zeros(2, 130, 171, dtype=torch.bool)
    with torch.no_grad():
        found, expected = detector(images, mask), network(images, mask)
    assert found.boxes.allclose(expected.boxes[-1], atol=1e-5)
    assert found.logits.allclose(expected.logits[-1], atol=1e-4)
    with pytest.raises(DetectorError, match="demo has no encoder layer 9"):
        load_demo(path, encoder_layer=9)


def test_the_packaged_detector_is_small_and_loads() -> None:
    assert WEIGHTS.stat().st_size < 4e6
    spec = load_demo().spec
    assert (spec.name, spec.dim, spec.strides) == ("demo", 64, (8, 16, 32))


def test_digest_is_the_one_that_stores_of_this_detector_carry() -> None:
    digest = "fece6b87c824fcbd5091301f8e1952cb77d7d8703ccfaee45beaabbc586ba3dd"
    assert load_detector("demo").spec.weights_digest == digest


def test_absent_weights_are_refused_with_the_way_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"train them with tools/train_demo_detector\.py"):
        load_demo(tmp_path / "demo.safetensors")


@pytest.mark.parametrize("kind", ["damaged", "foreign", "other classes"])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "demo.safetensors"
    if kind == "damaged":
        path.write_bytes(b"not tensors")
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    else:
        save_demo(demo_network(4), SPEC, path)
    with pytest.raises(DetectorError, match="does not hold the demo detector") as caught:
        load_demo(path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_detector("demo")


@pytest.fixture(scope="module")
def pictures(demo: Any) -> list[LoadedImage]:
    rng = np.random.default_rng(0)
    scenes = [Image.fromarray(random_scene(rng).image) for _ in range(8)]
    return [prepare_image(scene, demo.spec.preprocessing) for scene in scenes]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_autocast_moves_boxes_as_little_as_pixels_off_by_its_eps(
    demo: Any, pictures: list[LoadedImage], precision: Any, dtype: torch.dtype
) -> None:
    """Two grey levels for bfloat16. References rounded to bfloat16 would show under float16."""
    torch.manual_seed(0)
    ids = list(range(len(pictures)))
    eps = torch.finfo(dtype).eps / torch.tensor(demo.spec.preprocessing.std)[:, None, None]
    noisy = [
        replace(image, pixels=image.pixels + eps * (2 * torch.rand_like(image.pixels) - 1))
        for image in pictures
    ]
    exact = detect_all(demo, pictures, ids, 4)
    moved = _moved(exact, detect_all(demo, noisy, ids, 4))
    error = _moved(exact, detect_all(demo, pictures, ids, 4, precision=precision))
    assert len(error) >= 20
    assert error.median() <= 2 * moved.median()


def _moved(exact: list[ImageFeatures], others: list[ImageFeatures]) -> Tensor:
    """How far each sure box is from the nearest of its class, as a share of the image."""
    distances = []
    for image, other in zip(exact, others, strict=True):
        scores, labels = image.logits.sigmoid().max(-1)
        sure = scores > 0.5
        apart = (image.boxes[sure][:, None] - other.boxes[None]).abs().amax(-1)
        apart[labels[sure][:, None] != other.logits.argmax(-1)[None]] = 1.0
        distances.append(apart.amin(-1))
    return torch.cat(distances)
