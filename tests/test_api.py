import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mfd import api
from mfd.api import MaskFrozenDETR
from mfd.detectors import detect, load_detector
from mfd.detectors.contract import DetectorOutput
from mfd.errors import ConfigError, DataError, DetectorError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.predict import predict
from mfd.headtrain.inference.shown import Shown
from mfd.images import prepare_image
from tests.builders.heads import save_head
from tests.builders.scenes import CONFIG, SPEC


class Tiny(nn.Module):
    """A detector whose every output depends on the image's pixels."""

    spec = SPEC

    def forward(self, images: Tensor, padding_mask: Tensor) -> DetectorOutput:
        count = len(images)
        mean = images.mean((1, 2, 3))[:, None, None]
        ramp = torch.linspace(0.1, 0.9, SPEC.num_queries)[None, :, None].expand(count, -1, -1)
        pixels = images.permute(0, 2, 3, 1)
        c1 = torch.cat([pixels, pixels, pixels[..., :2]], -1)[:, ::4, ::4]
        return DetectorOutput(
            queries=ramp.expand(-1, -1, SPEC.dim) * mean,
            boxes=torch.cat([ramp, ramp, ramp / 2, ramp / 2], -1),
            logits=(ramp * 4).expand(-1, -1, 3) - torch.arange(3) + mean,
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


def test_every_kind_of_image_gives_the_same_instances(
    folder: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(pixels).save(tmp_path / "x.png")
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    kinds: list[Any] = [
        tmp_path / "x.png",
        str(tmp_path / "x.png"),
        Image.fromarray(pixels),
        pixels,
        pixels.astype(np.uint16) * 257,
        torch.from_numpy(pixels).permute(2, 0, 1) / 255,
    ]

    found = [model(image, min_score=0.1) for image in kinds]

    assert found[0]
    assert all(each == found[0] for each in found)
    assert {p.category for p in found[0]} <= {"disc", "ring", "90"}
    assert found[0][0].mask.shape == (83, 61)


def test_instances_are_those_of_the_one_inference_path(folder: Path, pixels: np.ndarray) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    options: dict[str, Any] = {
        "min_score": 0.2,
        "min_quality": 0.6,
        "categories_per_query": "all",
    }
    loaded = prepare_image(Image.fromarray(pixels), SPEC.preprocessing)
    features = detect(Tiny(), [loaded], [0])
    names = {1: "disc", 3: "ring"}

    expected = predict(model.predictor.head, features, names, Shown(**options))[0]
    assert model(pixels, **options) == expected
    assert model(pixels) == predict(model.predictor.head, features, names)[0]


def test_a_list_gives_a_list_for_each_image_in_order(folder: Path, pixels: np.ndarray) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    images = [pixels, pixels[:31], pixels // 2, pixels[:, :40]]

    found = model(images, min_score=0.1)

    assert found == [model(image, min_score=0.1) for image in images]
    assert model((pixels,), min_score=0.1) == found[:1]
    assert model([]) == []
    assert len(model(images, min_score=0.1, batch_size=3)) == 4


def test_a_batch_in_one_array_counts_as_the_list_of_its_images(
    folder: Path, pixels: np.ndarray
) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    batch = np.stack([pixels, pixels // 2, 255 - pixels])
    expected = model([*batch], min_score=0.1)
    assert expected[0] != expected[1]
    assert model(batch, min_score=0.1) == expected
    assert model(torch.from_numpy(batch).permute(0, 3, 1, 2), min_score=0.1) == expected


def test_a_model_says_its_detector_its_size_and_its_device(folder: Path) -> None:
    head = MaskHead(replace(CONFIG, image_layers=2), SPEC)
    save_head(folder.parent / "larger", head, {})
    model = MaskFrozenDETR.from_pretrained(folder.parent / "larger", Tiny())
    size = sum(weight.numel() for weight in head.parameters()) / 1e6
    assert repr(model) == (
        f"MaskFrozenDETR(detector={SPEC.name!r}, categories={len(SPEC.category_ids)}, "
        f"head of {size:.2f} M parameters, on cpu)"
    )


def test_the_device_is_the_given_detectors_or_the_one_that_commands_take(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    load_head = api.Run.load_head

    def load_detector(*arguments: Any, **_: Any) -> Tiny:
        asked.append(("detector", arguments[3]))
        return Tiny()

    def load(run: api.Run, device: Any) -> MaskHead:
        asked.append(("head", device))
        return load_head(run)

    monkeypatch.setattr(api, "pick_device", {"auto": "the GPU"}.__getitem__)
    monkeypatch.setattr(api, "load_detector", load_detector)
    monkeypatch.setattr(api.Run, "load_head", load)
    MaskFrozenDETR.from_pretrained(folder)
    assert asked == [("head", "the GPU"), ("detector", "the GPU")]
    MaskFrozenDETR.from_pretrained(folder, Tiny())
    assert asked[2:] == [("head", torch.device("cpu"))]
    MaskFrozenDETR.from_pretrained(folder, device="cpu")
    assert asked[3:] == [("head", "cpu"), ("detector", "cpu")]


def test_16_bit_images_are_scaled_and_not_clipped(folder: Path, pixels: np.ndarray) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    grey = pixels[..., 0]

    deep = model(Image.fromarray(grey.astype(np.uint16) * 257), min_score=0)

    assert deep == model(grey, min_score=0)
    assert deep != model(np.full_like(grey, 255), min_score=0)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("min_score", "a", "a number"),
        ("min_score", None, "a number"),
        ("min_score", float("nan"), "a finite number"),
        ("min_score", -0.1, "0 or more"),
        ("min_quality", 1.5, "1 or less"),
        ("categories_per_query", "two", "one of best, all"),
        ("batch_size", 0, "1 or more"),
        ("batch_size", 2.0, "a whole number"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_any_image(
    option: str, value: object, expected: str, folder: Path
) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())
    refusal = re.escape(f"{option} must be {expected}, found {value!r}")
    with pytest.raises(ConfigError, match=refusal):
        model("nowhere.jpg", **{option: value})  # type: ignore[call-overload]


def test_an_image_of_no_accepted_kind_is_a_type_error(folder: Path) -> None:
    model = MaskFrozenDETR.from_pretrained(folder, Tiny())

    for image in (7, None, [7], {"a": 1}):
        with pytest.raises(TypeError, match=r"of type .*, expected a path, a PIL image"):
            model(image)  # type: ignore[call-overload]


def test_a_head_of_another_detector_is_refused(folder: Path) -> None:
    other = Tiny()
    other.spec = replace(SPEC, weights_digest="99" * 32)

    with pytest.raises(DetectorError, match="weights 99999999"):
        MaskFrozenDETR.from_pretrained(folder, other)


def test_detector_is_the_heads_own_but_for_what_is_given(
    folder: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["detector"]["weights"] = "own.pth"
    (folder / "config.json").write_text(json.dumps(content))
    asked = []

    def load(
        name: str, weights: str | None, encoder_layer: int | None, device: str, **_: object
    ) -> Tiny:
        asked.append((name, weights, encoder_layer))
        return Tiny()

    monkeypatch.setattr(api, "load_detector", load)
    MaskFrozenDETR.from_pretrained(folder)(pixels)
    MaskFrozenDETR.from_pretrained(folder, "by another name")
    MaskFrozenDETR.from_pretrained(folder, "by another name", "its.pth")

    assert asked == [
        ("nearly", "own.pth", None),
        ("by another name", "own.pth", None),
        ("by another name", "its.pth", None),
    ]


def test_the_encoder_layer_is_the_one_the_head_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector of several layers, of which the head's is not the default."""

    def load(
        name: str, weights: str | None, encoder_layer: int | None, device: str, **_: object
    ) -> Tiny:
        loaded = Tiny()
        loaded.spec = replace(SPEC, encoder_layer=encoder_layer or 6)
        return loaded

    monkeypatch.setattr(api, "load_detector", load)
    save_head(tmp_path / "head", MaskHead(CONFIG, replace(SPEC, encoder_layer=4)), {})

    for model in (
        MaskFrozenDETR.from_pretrained(tmp_path / "head"),
        MaskFrozenDETR.from_pretrained(tmp_path / "head", "nearly", "its.pth"),
        MaskFrozenDETR.from_pretrained(tmp_path / "head", encoder_layer=4),
    ):
        assert model.predictor.detector.spec.encoder_layer == 4
    with pytest.raises(DetectorError, match=r"encoder_layer 4\), found .*encoder_layer 2"):
        MaskFrozenDETR.from_pretrained(tmp_path / "head", encoder_layer=2)


def test_a_head_of_the_demos_detector_needs_nothing_but_its_folder(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    spec = load_detector("demo").spec
    config = replace(CONFIG, num_heads=4, use_c1=False)
    save_head(tmp_path / "head", MaskHead(config, spec), {})

    model = MaskFrozenDETR.from_pretrained(tmp_path / "head")

    assert model.predictor.detector.spec == spec
    assert all(p.mask.shape == (83, 61) for p in model(pixels, min_score=0.01))


def test_missing_folders_and_images_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none holds no head: there is no such folder; give"):
        MaskFrozenDETR.from_pretrained(tmp_path / "none", Tiny())
    with pytest.raises(DataError, match=r"no image .*gone\.jpg"):
        MaskFrozenDETR.from_pretrained(folder, Tiny())(tmp_path / "gone.jpg")
