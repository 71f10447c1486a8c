"""EXIF orientation: ignored, or applied where it is asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from mfd.errors import DataError
from mfd.images import (
    ImageHeader,
    Preprocessing,
    load_image,
    read_header,
    read_rgb,
)
from tests.builders.pixels import noise, save

PLAIN = Preprocessing(size_hw=(37, 53), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image = Image.fromarray(noise(37, 53, 3))
    image.save(tmp_path / "turned.png", exif=exif)
    image.save(tmp_path / "plain.png")
    turned = load_image(tmp_path / "turned.png", PLAIN, (37, 53))
    assert torch.equal(turned.pixels, load_image(tmp_path / "plain.png", PLAIN).pixels)


TURNED = {  # what an upright image looks like to a camera that was held so, and how it is stored
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright.transpose(1, 0, 2)[::-1],
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: upright.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("way", TURNED)
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_an_image_is_turned_upright_if_asked_for(way: int, kind: str, tmp_path: Path) -> None:
    upright = noise(37, 53, 3)
    stored = np.ascontiguousarray(TURNED[way](upright))
    path = tmp_path / f"a.{kind}"
    save(stored, path, way, lossless=True)
    assert read_header(path) == ImageHeader(stored.shape[:2], way)
    assert (np.array(read_rgb(path)) == stored).all()
    rgb = read_rgb(path, (37, 53), upright=True)
    assert (np.array(rgb) == upright).all()
    assert (np.array(ImageOps.exif_transpose(rgb)) == upright).all()  # not turned once more
    loaded = load_image(path, replace(PLAIN, upright=True), (37, 53))
    np.testing.assert_allclose(loaded.pixels, upright.transpose(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_data_are_no_orientation(tmp_path: Path) -> None:
    Image.fromarray(noise(37, 53, 3)).save(
        tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"
    )
    assert read_header(tmp_path / "a.jpg").orientation == 1
    assert read_rgb(tmp_path / "a.jpg", (37, 53), upright=True).size == (53, 37)


def test_a_turned_size_names_the_switch(tmp_path: Path) -> None:
    save(noise(37, 53, 3), tmp_path / "a.png", 6)
    with pytest.raises(DataError, match='belong to the upright pixels; set exif = "apply"'):
        read_rgb(tmp_path / "a.png", (53, 37))
    with pytest.raises(DataError, match='belong to the stored pixels; set exif = "ignore"'):
        read_rgb(tmp_path / "a.png", (37, 53), upright=True)


def test_only_a_switch_that_is_on_is_part_of_a_stores_identity() -> None:
    assert "upright" not in Preprocessing().to_json()
    assert Preprocessing(upright=True).to_json()["upright"] is True
