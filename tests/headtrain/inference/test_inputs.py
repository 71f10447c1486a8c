"""Every accepted kind of image against the RGB pixels it was made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.errors import DataError, InputError
from mfd.headtrain.inference.inputs import upright_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (13, 29, 3), np.uint8)
GREY = PIXELS[..., :1]


def as_image(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(upright_rgb(pixels)).astype(int)


@pytest.mark.parametrize(
    "image",
    [
        PIXELS,
        np.dstack([PIXELS, np.full((13, 29), 7, np.uint8)]),
        PIXELS.astype(np.uint16) * 257,
        PIXELS.astype(np.float32) / 255,
        PIXELS.astype(np.float64) / 255,
        PIXELS[:, ::-1][:, ::-1],  # not contiguous
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        torch.from_numpy(PIXELS).permute(2, 0, 1) / 255,
        (torch.from_numpy(PIXELS).permute(2, 0, 1) / 255).requires_grad_(),
        Image.fromarray(PIXELS),
        Image.fromarray(PIXELS).convert("RGBA"),
        Image.fromarray(PIXELS).convert("RGBA").convert("RGBa"),
    ],
    ids=lambda image: (
        f"{type(image).__name__} {getattr(image, 'dtype', getattr(image, 'mode', ''))}"
    ),
)
def test_colours_are_kept(image: Any) -> None:
    rgb = upright_rgb(image)

    assert rgb.mode == "RGB"
    assert (np.asarray(rgb) == PIXELS).all()


@pytest.mark.parametrize(
    "image",
    [
        GREY,
        GREY[..., 0],
        GREY[..., 0].astype(np.uint16) * 257,
        GREY.astype(np.float16) / 255,
        Image.fromarray(GREY[..., 0]),
        Image.fromarray(GREY[..., 0]).convert("LA"),
        Image.fromarray(GREY[..., 0].astype(np.uint16) * 257),
        Image.fromarray(GREY[..., 0].astype(np.int32) * 257),
        Image.fromarray(GREY[..., 0].astype(np.float32) / 255),
    ],
    ids=lambda image: (
        f"{type(image).__name__} {getattr(image, 'dtype', getattr(image, 'mode', ''))}"
    ),
)
def test_grey_becomes_three_equal_channels(image: Any) -> None:
    rgb = np.asarray(upright_rgb(image)).astype(int)

    assert rgb.shape == (13, 29, 3)
    assert np.abs(rgb - GREY).max() == 0


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "PA", "La"])
def test_any_mode_of_pil_becomes_rgb(mode: str) -> None:
    base = Image.fromarray(PIXELS)
    if mode == "La":
        image = base.convert("LA").convert("La")
    elif mode == "PA":
        image = base.convert("P").convert("PA")
    else:
        image = base.convert(mode)

    assert upright_rgb(image).mode == "RGB"
    assert upright_rgb(image).size == (29, 13)


def test_16_bit_values_are_scaled_and_rounded() -> None:
    values = np.array([[0, 127, 129, 32768, 65535]], np.uint16)

    assert as_image(values)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_floats_just_outside_the_range_are_rounding() -> None:
    values = np.array([[-0.0005, 0.5, 1.0005]])

    assert as_image(values)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_photographs_are_turned_upright(orientation: int, ending: str, tmp_path: Path) -> None:
    """An image with a bright upper left corner, stored in each of the ways EXIF knows."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif.tobytes())

    with Image.open(path) as opened:
        for image in (path, str(path), opened):
            found = np.asarray(upright_rgb(image)).astype(int)
            assert found.shape == upright.shape
            assert np.abs(found - upright).mean() < 9  # JPEG is not exact


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (None, "of type NoneType"),
        (7, "of type int"),
        (b"bytes", "of type bytes"),
        (np.zeros((2, 5, 7, 3), np.uint8), "2 x 5 x 7 x 3"),
        (np.zeros((5, 7, 2), np.uint8), "5 x 7 x 2"),
        (np.zeros((3, 5, 7), np.uint8), "3 x 5 x 7"),
        (np.zeros((0, 7, 3), np.uint8), "no pixels"),
        (np.zeros((5, 7, 3), np.int64), "int64"),
        (np.zeros((5, 7, 3), bool), "bool"),
        (np.full((5, 7, 3), 200.0), "from 200 to 200, expected 0..1"),
        (np.full((5, 7, 3), np.nan), "expected 0..1"),
        (torch.zeros(3, 7, 3), "not clear"),
        (torch.zeros(5, 7), "no side has 3 colours"),
        (torch.zeros(1, 3, 5, 7), "1 x 3 x 5 x 7"),
        (torch.full((3, 5, 7), 255.0), "expected 0..1"),
        (Image.fromarray(np.full((5, 7), 70000, np.int32)), "expected 0..65535"),
        (Image.fromarray(np.full((5, 7), 255.5, np.float32)), "expected 0..1"),
        (Image.new("L", (7, 0)), "no pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_a_type_error_that_names_it_and_what_is_accepted(
    image: Any, named: str
) -> None:
    with pytest.raises(TypeError) as error:
        upright_rgb(image)

    assert isinstance(error.value, InputError)
    assert named in str(error.value)
    assert "a path, a PIL image, an array" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_is_absent_or_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")

    with pytest.raises(DataError, match=r"gone\.jpg"):
        upright_rgb(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"text\.jpg"):
        upright_rgb(str(tmp_path / "text.jpg"))


def test_a_pil_image_of_half_a_file_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "x.png").read_bytes()[:600])

    with (
        Image.open(tmp_path / "half.png") as image,
        pytest.raises(DataError, match="cannot be decoded"),
    ):
        upright_rgb(image)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_pil_image_is_read_as_its_file_is(tmp_path: Path) -> None:
    deep = Image.fromarray((GREY[..., 0].astype(np.uint16) * 251) + 7)
    deep.save(tmp_path / "deep.png")
    rgb = Image.fromarray(PIXELS)
    rgb.save(tmp_path / "damaged.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12")

    for name in ("deep.png", "damaged.jpg"):
        with Image.open(tmp_path / name) as image:
            found = np.asarray(upright_rgb(image))
        assert (found == np.asarray(upright_rgb(tmp_path / name))).all()
