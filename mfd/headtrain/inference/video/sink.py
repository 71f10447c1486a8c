"""A video file that is written frame by frame and can be played whenever it ends."""

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from mfd.errors import ConfigError
from mfd.headtrain.inference.files import SOFTWARE
from mfd.headtrain.inference.video.library import require_av

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
SUFFIXES = tuple(_FORMATS)
_TICKS = 90_000  # per second, of times in the file
_QUALITY = {"crf": "20", "preset": "veryfast"}


class VideoSink:
    """H.264 in yuv420p, which every player and browser shows.

    Times of frames are kept, so a rate may vary. A side of odd length is extended by one pixel,
    since the format has none. The file takes its name when it is closed; without a frame, or if it
    cannot be written, there will be none.

    Raises:
        ConfigError: `path` has another ending, or is a file that mfd did not make.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._av = require_av()
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{path} ends in {path.suffix!r}, expected {', '.join(SUFFIXES)}")
        if path.exists() and not is_ours(path):
            raise ConfigError(
                f"{path} exists and was not made by `mfd predict`; move it, or name another file"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
        self._rate = Fraction(rate).limit_denominator(1000)
        # a file of ours: FFmpeg leaves its own open when the end cannot be written
        self._file = self._unfinished.open("wb")
        self._container = self._av.open(self._file, "w", format=_FORMATS[path.suffix.lower()])
        self._container.metadata["comment"] = SOFTWARE
        self._stream: Any = None
        self._frames = 0

    def add(self, picture: Image.Image, seconds: float) -> None:
        """Write a picture, of the first one's size, later than the one before."""
        width, height = picture.size
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", self._rate, options=_QUALITY)
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        frame = self._av.VideoFrame.from_image(_even(picture))
        frame.pts, frame.time_base = round(seconds * _TICKS), Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def close(self) -> None:
        """Finish the file, or leave none.

        Raises:
            OSError: as the file system does.
        """
        finished = False
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            self._file.close()
            finished = self._frames > 0
        finally:
            with contextlib.suppress(OSError):  # what could not be written is said already
                self._file.close()
            if finished:
                self._unfinished.replace(self.path)
            else:
                self._unfinished.unlink(missing_ok=True)


def is_ours(path: Path) -> bool:
    """Whether mfd wrote this video, which may then be replaced."""
    av = require_av()
    try:
        with av.open(str(path.absolute())) as container:
            tags = {name.lower(): value for name, value in container.metadata.items()}
    except (av.error.FFmpegError, OSError):
        return False
    return tags.get("comment") == SOFTWARE


def _even(picture: Image.Image) -> Image.Image:
    """The picture with sides of even length, its last column and row repeated."""
    width, height = picture.size
    if not (width % 2 or height % 2):
        return picture
    even = ImageOps.expand(picture, (0, 0, width % 2, height % 2))
    if width % 2:
        even.paste(picture.crop((width - 1, 0, width, height)), (width, 0))
    if height % 2:
        even.paste(even.crop((0, height - 1, even.width, height)), (0, height))
    return even
