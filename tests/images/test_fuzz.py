"""Damaged image files are read or refused in one line: never another error, never a hang."""

import contextlib
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.errors import MfdError
from mfd.images import Preprocessing, load_image, read_header, read_rgb

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


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 4, 40))):
        place = chance.randrange(len(changed))
        if chance.random() < 0.5:  # sizes and offsets stand in front
            place = chance.randrange(min(len(changed), 200))
        kind = chance.random()
        if kind < 0.4:
            changed[place] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif kind < 0.6:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind < 0.7:
            changed[place : place + 4] = chance.choice((bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"))
        elif kind < 0.8:
            del changed[place : place + chance.randrange(1, 30)]
        elif kind < 0.9:
            changed[place:place] = changed[place : place + 50]
        elif len(changed) > 20:
            del changed[chance.randrange(10, len(changed)) :]
        if not changed:
            break
    return bytes(changed)


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
        path.write_bytes(mutated(whole, chance))
        for attempt in (
            lambda: read_header(path),
            lambda: read_rgb(path, upright=True),
            lambda: load_image(path, PREPROCESSING),
        ):
            with contextlib.suppress(MfdError):
                attempt()
