from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mfd.headtrain.runs.pretrained import save_head
from PIL import Image
from torch import Tensor, nn

from mfd import api
from mfd.api import MaskFrozenDETR
from mfd.detectors.contract import DetectorOutput
from mfd.errors import ConfigError, DataError, DetectorError
from mfd.headtrain.head.model import MaskHead
from tests.headtrain.scenes import CONFIG, SPEC


class Tiny(nn.Module):
    """A detector whose every output depends on the image's pixels."""

    spec = SPEC

    def forward(self, images: Tensor, padding_mask: Tensor) -> DetectorOutput:
        mean = images.mean((1, 2, 3))[:, None, None]
        ramp = torch.linspace(0.1, 0.9, SPEC.num_queries)[None, :, None]
        pixels = images.permute(0, 2, 3, 1)
        c1 = torch.cat([pixels, pixels, pixels[..., :2]], -1)[:, ::4, ::4]
        return DetectorOutput(
            queries=ramp.expand(1, -1, SPEC.dim) * mean,
            boxes=torch.cat([ramp, ramp, ramp / 2, ramp / 2], -1),
            logits=(ramp * 4).expand(1, -1, 3) - torch.arange(3) + mean,
            memory=[c1[:, ::4, ::4], c1[:, ::8, ::8]],
            c1=c1,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_head(tmp_path / "head", MaskHead(CONFIG, SPEC), {1: "disc", 3: "ring"})
    return tmp_path / "head"


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (83, 61, 3), np.uint8)


def test_file_image_and_pixels_give_the_same_instances(
    folder: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(pixels).save(tmp_path / "x.png")
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())

    found = [
        model(image, min_score=0.1)
        for image in (tmp_path / "x.png", str(tmp_path / "x.png"), Image.fromarray(pixels), pixels)
    ]

    assert found[0]
    assert found[0] == found[1] == found[2] == found[3]
    assert {p.category for p in found[0]} <= {"disc", "ring", "90"}
    assert found[0][0].pixels().shape == (83, 61)


def test_a_head_of_another_detector_is_refused(folder: Path) -> None:
    other = Tiny()
    other.spec = replace(SPEC, weights_digest="99" * 32)

    with pytest.raises(DetectorError, match="weights 99999999"):
        MaskFrozenDETR.from_pretrained(folder, other)


def test_without_a_detector_the_heads_own_is_loaded_by_name(
    folder: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load_detector(name: str, weights: str | None, device: str) -> Tiny:
        asked.append((name, weights))
        return Tiny()

    monkeypatch.setattr(api, "load_detector", load_detector)
    MaskFrozenDETR.from_pretrained(folder)(pixels)
    MaskFrozenDETR.from_pretrained(folder, "by another name", "its.pth")

    assert asked == [("nearly", None), ("by another name", "its.pth")]


def test_missing_folders_and_images_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no head"):
        MaskFrozenDETR.from_pretrained(tmp_path / "none", Tiny())
    with pytest.raises(DataError, match=r"no image .*gone\.jpg"):
        MaskFrozenDETR.from_pretrained(folder, Tiny())(tmp_path / "gone.jpg")
