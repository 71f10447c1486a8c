"""Damaged image files are read or refused in one line: never another error, never a hang."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.images import Preprocessing, load_image, read_header, read_rgb
from tests.builders.mutations import mutated_bytes, require_used_or_named

KINDS = {
    "jpg": ("RGB", {}),
    "progressive.jpg": ("RGB", {"progressive": True}),
    "cmyk.jpg": ("CMYK", {}),
    "png": ("RGBA", {}),
    "palette.png": ("P", {}),
    "deep.png": ("I;16", {}),
    "gif": ("P", {}),
    "bmp": ("RGB", {}),
    "webp": ("RGB", {}),
    "lossless.webp": ("RGBA", {"lossless": True}),
    "tif": ("RGB", {}),
    "lzw.tif": ("RGB", {"compression": "tiff_lzw"}),
    "deflate.tif": ("I;16", {"compression": "tiff_adobe_deflate"}),
    "float.tif": ("F", {}),
    "ppm": ("RGB", {}),
    "jp2": ("RGB", {}),
    "avif": ("RGB", {}),
}
PREPROCESSING = Preprocessing(shorter_side=30, longer_side=10**6)


def whole_file(kind: str) -> bytes:
    mode, options = KINDS[kind]
    suffix = f".{kind.rpartition('.')[2]}"
    if (name := Image.registered_extensions().get(suffix)) not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {suffix}")
    deep = mode.startswith("I") or mode == "F"
    noise = np.random.default_rng(0).integers(0, 256, (23, 41, 3), np.uint8)
    image = Image.fromarray(noise[..., 0].astype(np.uint16) if deep else noise)
    if mode != image.mode:
        image = image.convert("I").convert(mode) if deep else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    if suffix not in (".gif", ".bmp", ".ppm"):
        options = {**options, "exif": exif}
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_used_or_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MFD_MAX_MEGAPIXELS", "1")
    whole, chance = whole_file(kind), random.Random(kind)
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(whole)
    assert set(load_image(path, PREPROCESSING).original_hw) == {23, 41}  # Pillow turns TIFF itself
    for _ in range(60):
        path.write_bytes(mutated_bytes(whole, chance))
        for attempt in (
            lambda: read_header(path),
            lambda: read_rgb(path, upright=True),
            lambda: load_image(path, PREPROCESSING),
        ):
            require_used_or_named(attempt, path.name)
