"""The demo detector: its file and its size."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mfd.detector import DetectorSpec, Preprocessing
from mfd.errors import DetectorError
from mfd.extract.demo import WEIGHTS, demo_network, load_demo, save_demo

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
