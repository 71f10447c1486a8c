"""Checkpoints of detectors that somebody trained on classes of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mfd.api import MaskFrozenDETR
from mfd.detectors import load_detector
from mfd.detectors.official import OFFICIAL, build_official
from mfd.errors import DetectorError
from mfd.headtrain import HeadConfig, MaskHead
from tests.detectors.reference_models import TINY

HEAD = HeadConfig(image_layers=1, box_layers=1, box_dim=16, roi_size=8, num_heads=4, num_points=1)
TINY_DINO, TINY_HDETR = "tiny64-dino-swin", "tiny64-hdetr-swin"


def checkpoint(name: str, num_classes: int, **changes: int) -> dict[str, Tensor]:
    """Random weights under the official names, as training on so many classes leaves them."""
    official = TINY[name]
    config = replace(official.config, num_classes=num_classes, **changes)
    keys = replace(official, config=config).key_map()
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}
    for ours, names in keys.names.items():
        value = torch.randn(keys.shapes[ours])
        value = value * (value[0].numel() ** -0.5 if value.ndim > 1 else 0.1)
        state |= dict.fromkeys(names, value)
    return state


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TINY_DINO, TINY_HDETR):
        monkeypatch.setitem(OFFICIAL, name, TINY[name])


@pytest.mark.parametrize("name", [TINY_DINO, TINY_HDETR])
def test_a_checkpoint_of_five_classes_saved_from_several_gpus_predicts(
    name: str, tmp_path: Path
) -> None:
    state = {f"module.{key}": value for key, value in checkpoint(name, 5).items()}
    state["module.label_enc.weight"] = torch.zeros(6, 64)
    path = tmp_path / "checkpoint0011.pth"
    torch.save({"model": state, "epoch": 11}, path)
    said: list[str] = []
    detector = load_detector(name, path, 1, say=said.append)
    assert detector.spec.category_ids == (0, 1, 2, 3, 4)
    assert said == [
        f"{path}: weights, 'module.' removed from their names",
        f"{path}: 5 categories, counted 0 to 4 as in its training",
    ]
    key = "class_embed.0.weight"
    heads = [head for n, head in detector.named_parameters() if n.endswith("class_heads.0.weight")]
    assert torch.equal(heads[0], state[f"module.{key}"])

    pixels = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    head = MaskHead(HEAD, detector.spec).eval()
    model = MaskFrozenDETR(detector, head, dict(enumerate("abcde")))
    found = model(Image.fromarray(pixels), min_score=0.0)
    assert found
    assert {instance.category for instance in found} <= set("abcde")
    assert all(instance.mask.shape == (61, 83) for instance in found)


def test_dino_keeps_its_own_number_of_queries() -> None:
    state = checkpoint(TINY_DINO, 7, num_queries=13)
    spec = build_official(TINY_DINO, TINY[TINY_DINO], state, 1).spec
    assert (spec.num_queries, spec.num_logits) == (13, 7)


def test_heads_of_different_numbers_of_classes_are_refused() -> None:
    state = checkpoint(TINY_HDETR, 5)
    key = "class_embed.1.bias"
    state[key] = torch.zeros(6)
    with pytest.raises(DetectorError, match=rf"{key} is \(6,\), expected \(5,\)"):
        build_official(TINY_HDETR, TINY[TINY_HDETR], state, 1)
