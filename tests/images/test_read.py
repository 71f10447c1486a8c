"""Images are read as Deformable DETR reads them; what cannot be read is refused by name."""

import hashlib
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.errors import ConfigError, DataError
from mfd.images import (
    Preprocessing,
    collate_images,
    image_suffixes,
    input_size,
    load_image,
    read_rgb,
)
from tests.builders.pixels import noise, save

PLAIN = Preprocessing(size_hw=(37, 53), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("original_hw", "expected_hw"),
    [
        ((480, 640), (800, 1066)),  # 1066.67 is truncated
        ((640, 480), (1066, 800)),
        ((427, 640), (800, 1199)),
        ((333, 500), (800, 1201)),
        ((375, 640), (781, 1332)),  # the longer side limits: 781.05 is rounded, 1332.9 truncated
        ((640, 360), (1333, 750)),
        ((600, 600), (800, 800)),
        ((800, 1200), (800, 1200)),
        ((1, 9000), (1, 1333)),
        ((2, 9000), (1, 1333)),
        ((100, 500), (267, 1335)),  # rounded up, it exceeds the limit a little
    ],
)
def test_input_sizes_are_those_of_deformable_detr(
    original_hw: tuple[int, int], expected_hw: tuple[int, int]
) -> None:
    assert input_size(original_hw, Preprocessing()) == expected_hw


def test_a_fixed_size_wins_over_the_sides() -> None:
    assert input_size((480, 640), PLAIN) == (37, 53)


def test_pixels_are_resized_by_pil_then_normalised(tmp_path: Path) -> None:
    pixels = noise(91, 117, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    preprocessing = Preprocessing(shorter_side=50, longer_side=60)  # 46.7 and 60.4 pixels
    loaded = load_image(tmp_path / "a.png", preprocessing)
    resized = Image.fromarray(pixels).resize((60, 47), Image.Resampling.BILINEAR)
    rgb = torch.from_numpy(np.array(resized)).double().permute(2, 0, 1) / 255
    mean, std = torch.tensor(preprocessing.mean).double(), torch.tensor(preprocessing.std).double()
    expected = (rgb - mean[:, None, None]) / std[:, None, None]
    assert loaded.original_hw == (91, 117)
    assert loaded.input_hw == (47, 60)
    assert loaded.pixels.dtype == torch.float32
    torch.testing.assert_close(loaded.pixels.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "LA"])
def test_other_kinds_of_pixels_become_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(noise(37, 53, 3)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    expected = np.array(Image.open(path).convert("RGB")).transpose(2, 0, 1) / 255
    found = load_image(path, PLAIN).pixels.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_another_size_than_the_annotations_is_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(37, 53, 3)).save(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=r"a\.png has height and width \(37, 53\).* says \(53, 37\)"
    ):
        load_image(tmp_path / "a.png", PLAIN, (53, 37))


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.9])
def test_a_truncated_file_is_refused_by_name(kind: str, kept: float, tmp_path: Path) -> None:
    whole, path = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    Image.fromarray(noise(137, 153, 3)).save(whole)
    content = whole.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    named = "is not a whole image" if int(kept * len(content)) else "is an empty file"
    with pytest.raises(DataError, match=rf"cut\.{kind} {named}") as caught:
        load_image(path, PLAIN)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.jpg is not a whole image"):
        load_image(tmp_path / "text.jpg", PLAIN)
    with pytest.raises(DataError, match=r"no image .*none\.jpg"):
        load_image(tmp_path / "none.jpg", PLAIN)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4"])
def test_sixteen_bit_pixels_are_scaled(dtype: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (37, 53))
    values[0, :4] = (0, 128, 129, 65535)
    path = tmp_path / "deep.tif"
    Image.fromarray(values.astype(dtype)).save(path)
    found = np.array(read_rgb(path))
    assert (found[..., 0] == np.rint(values / 257)).all()
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floats_are_scaled_by_their_range(top: float, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((37, 53), np.float32) * np.float32(top)
    values[0, 0] = top
    Image.fromarray(values).save(tmp_path / "deep.tif")
    found = np.array(read_rgb(tmp_path / "deep.tif"))[..., 0]
    assert (found == np.rint(values * np.float32(255 / top))).all()


@pytest.mark.parametrize(
    ("value", "dtype"), [(-1, "i4"), (65536, "i4"), (300, "f4"), (-0.1, "f4"), (np.nan, "f4")]
)
def test_values_without_a_known_range_are_refused(value: float, dtype: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((7, 5), value, dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(DataError, match=r"deep\.tif: pixels are from .* expected 0\.\."):
        read_rgb(tmp_path / "deep.tif")


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
    for name, kind in {
        "pipe.png": "a pipe",
        "link.png": "a pipe",
        "socket.png": "a socket",
        "/dev/zero": "a device",
        ".": "a folder",
    }.items():
        with pytest.raises(DataError, match=f"is {kind}, expected an image file"):
            read_rgb(tmp_path / name)  # an open pipe would wait for ever


def test_a_file_without_permission_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    save(noise(5, 7, 3), tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a\.png cannot be read \(Permission denied\)"):
        read_rgb(tmp_path / "a.png")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def test_no_format_that_runs_a_program_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **b: pytest.fail("a program was run"))
    for name in ("a.eps", "a.jpg"):  # Pillow goes by the content
        (tmp_path / name).write_bytes(EPS)
        for digest in (None, hashlib.sha256(EPS).hexdigest()):
            with pytest.raises(
                DataError, match=r"a format that is read; convert it to .*JPEG, PNG"
            ):
                read_rgb(tmp_path / name, sha256=digest)
    assert {".jpg", ".png", ".webp", ".tif", ".mpo"} <= image_suffixes()
    assert not {".eps", ".ps", ".pdf", ".wmf"} & image_suffixes()


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_the_largest_image_can_be_set(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(noise(200, 101, 3)).save(path)
    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setenv("MFD_MAX_MEGAPIXELS", "0.0202")
    assert read_rgb(path).size == (101, 200)
    for limit in ("0.0201", "0.001"):
        monkeypatch.setenv("MFD_MAX_MEGAPIXELS", limit)
        with pytest.raises(DataError, match=rf"a\.{kind} has .*at most {limit} megapixels; .*MFD_"):
            read_rgb(path)
    assert before == Image.MAX_IMAGE_PIXELS
    monkeypatch.setenv("MFD_MAX_MEGAPIXELS", "many")
    with pytest.raises(ConfigError, match="MFD_MAX_MEGAPIXELS is 'many'"):
        read_rgb(path)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_an_image_of_196_megapixels_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    Image.new("1", (14000, 14000)).save(path)
    assert read_rgb(path).size == (14000, 14000)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(640, 640),
        Preprocessing(400, 200_000),
        Preprocessing(800, 10**9),
        PLAIN,
    ],
)
@pytest.mark.parametrize("original_hw", [(1, 6000), (6000, 1), (3, 1000), (1, 1), (60_000, 2)])
def test_a_thin_image_stays_small(
    original_hw: tuple[int, int], preprocessing: Preprocessing
) -> None:
    height, width = input_size(original_hw, preprocessing)
    assert min(height, width) >= 1
    assert 3 * 4 * height * width < 200e6
    if preprocessing.size_hw is None:
        assert max(height, width) <= 2 * min(preprocessing.longer_side, 16 * 800)


def test_a_panorama_keeps_its_ratio_where_no_limit_is_set() -> None:
    assert input_size((300, 3000), Preprocessing(400, 10**9)) == (400, 4000)


def test_padding_is_zero_at_the_right_and_bottom_and_true_in_the_mask() -> None:
    first, second = torch.rand(3, 5, 11) + 1, torch.rand(3, 7, 3) + 1
    images, padding_mask = collate_images([first, second])
    assert images.shape == (2, 3, 7, 11)
    assert torch.equal(images[0, :, :5], first)
    assert torch.equal(images[1, :, :, :3], second)
    assert torch.equal(padding_mask, images[:, 0] == 0)
