"""Image files become input as the detectors' own code makes it, or are refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.errors import DataError
from mfd.images import collate_images, input_size, load_image
from mfd.images.preprocessing import Preprocessing

PLAIN = Preprocessing(size_hw=(37, 53), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


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
        ((1, 9000), (1, 9000)),
        ((2, 9000), (1, 4500)),
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


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image = Image.fromarray(noise(37, 53, 3))
    image.save(tmp_path / "turned.png", exif=exif)
    image.save(tmp_path / "plain.png")
    turned = load_image(tmp_path / "turned.png", PLAIN, (37, 53))
    assert torch.equal(turned.pixels, load_image(tmp_path / "plain.png", PLAIN).pixels)


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
    with pytest.raises(DataError, match=rf"cut\.{kind} is not a whole image") as caught:
        load_image(path, PLAIN)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.jpg is not a whole image"):
        load_image(tmp_path / "text.jpg", PLAIN)
    with pytest.raises(DataError, match=r"no image .*none\.jpg"):
        load_image(tmp_path / "none.jpg", PLAIN)
    with pytest.raises(DataError, match="is not a whole image"):
        load_image(tmp_path, PLAIN)


def test_sixteen_bit_pixels_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((37, 53), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="expected 8 bits per channel"):
        load_image(tmp_path / "deep.png", PLAIN)


def test_padding_is_zero_at_the_right_and_bottom_and_true_in_the_mask() -> None:
    first, second = torch.rand(3, 5, 11) + 1, torch.rand(3, 7, 3) + 1
    images, padding_mask = collate_images([first, second])
    assert images.shape == (2, 3, 7, 11)
    assert torch.equal(images[0, :, :5], first)
    assert torch.equal(images[1, :, :, :3], second)
    assert torch.equal(padding_mask, images[:, 0] == 0)
