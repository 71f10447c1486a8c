"""Settings of Transformers' image processors: sizes and values that the model was trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.detectors.hf.preprocessing import read_preprocessing
from mfd.errors import DetectorError
from mfd.images import prepare_image
from mfd.images.preprocessing import Preprocessing


def read(tmp_path: Path, settings: Any, **family: bool) -> Preprocessing:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(settings))
    return read_preprocessing(path, **{"fixed_size": False, **family})


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"size": {"shortest_edge": 480, "longest_edge": 640}}, (480, 640, None)),
        ({"size": 600, "max_size": 1000}, (600, 1000, None)),
        ({"size": {"height": 416, "width": 640}}, (800, 1333, (416, 640))),
        ({}, (800, 1333, None)),
    ],
)
def test_sizes_of_all_spellings(settings: dict[str, Any], wanted: Any, tmp_path: Path) -> None:
    found = read(tmp_path, settings)
    assert (found.shorter_side, found.longer_side, found.size_hw) == wanted
    assert (found.mean, found.std) == (Preprocessing.mean, Preprocessing.std)


def test_defaults_of_families_without_masks(tmp_path: Path) -> None:
    found = read(tmp_path, {}, fixed_size=True, normalised=False)
    assert found.size_hw == (640, 640)
    assert (found.mean, found.std) == ((0, 0, 0), (1, 1, 1))
    assert read(tmp_path, {}, fixed_size=True).mean == Preprocessing.mean


@pytest.mark.parametrize("do_rescale", [True, False])
@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("rescale_factor", [1 / 255, 1 / 127.5])
def test_values_are_those_of_rescaling_then_normalising(
    do_rescale: bool, do_normalize: bool, rescale_factor: float, tmp_path: Path
) -> None:
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    settings = {
        "size": {"height": 13, "width": 17},
        "do_rescale": do_rescale,
        "rescale_factor": rescale_factor,
        "do_normalize": do_normalize,
        "image_mean": mean,
        "image_std": std,
    }
    raw = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    found = prepare_image(Image.fromarray(raw), read(tmp_path, settings)).pixels

    wanted = torch.from_numpy(raw).double().permute(2, 0, 1)
    if do_rescale:
        wanted = wanted * rescale_factor
    if do_normalize:
        wanted = (wanted - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"do_resize": False}, "do_resize=false"),
        ({"resample": 3}, r"resample=3, expected 2 \(bilinear\)"),
        ({"size": {"max_height": 800, "max_width": 800}}, "expected shortest_edge"),
        ({"size": None}, "expected shortest_edge"),
        ({"image_mean": [0.5]}, "expected three values"),
        ({"size": {"shortest_edge": [800]}}, "wrong kind"),
        ({"image_std": [1, 1, "x"]}, "wrong kind"),
        ({"rescale_factor": 0}, "wrong kind"),
        ([1, 2], "no image processor settings"),
    ],
)
def test_what_cannot_be_expressed_is_refused(settings: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=problem):
        read(tmp_path, settings)


def test_sizes_that_would_need_padding_are_refused_for_families_without_masks(
    tmp_path: Path,
) -> None:
    with pytest.raises(DetectorError, match="cannot tell padding from image"):
        read(tmp_path, {"size": {"shortest_edge": 640, "longest_edge": 640}}, fixed_size=True)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(DetectorError, match="not a JSON file"):
        read_preprocessing(path, fixed_size=False)
