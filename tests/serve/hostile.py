"""Twenty uploads that are no harmless image, each with what is wrong with it."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A PNG file that says it has that size, whatever its pixels are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return head + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def saved(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, kind)
    return content.getvalue()


def cut(kind: str) -> bytes:
    whole = saved(kind)
    return whole[: len(whole) // 2]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(5000),
    "text": lambda: b"no image",
    "html": lambda: b"<html><script>alert(1)</script></html>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg with an entity": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    ),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
    "pdf": lambda: b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    "pickle": lambda: b"\x80\x04cposix\nsystem\n(X\x02\x00\x00\x00idtR.",
    "zip": lambda: b"PK\x03\x04" + bytes(300),
    "elf": lambda: b"\x7fELF\x02\x01\x01" + bytes(300),
    "png of 60000 x 60000 pixels": lambda: png(60_000, 60_000),
    "png of 9000 x 9000 pixels": lambda: png(9_000, 9_000, bytes(1_000_000)),
    "png without pixels": lambda: png(0, 0),
    "png of too few pixels": lambda: png(300, 300, bytes(100)),
    "png, cut off": lambda: cut("PNG"),
    "jpeg, cut off": lambda: cut("JPEG"),
    "gif, cut off": lambda: saved("GIF")[:60],
    "tiff that points out of itself": lambda: (
        b"II*\x00\x08\x00\x00\x00\x01\x00\x11\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\x7f\0\0\0\0"
    ),
    "webp, cut off": lambda: cut("WEBP"),
}
assert len(HOSTILE) == 20


def uploads() -> Iterator[tuple[str, bytes]]:
    """Every name with its content."""
    for name, make in HOSTILE.items():
        yield name, make()
