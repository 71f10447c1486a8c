"""Frames of a video file or a camera, upright and one after the other."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mfd.errors import DataError
from mfd.headtrain.inference.video.library import require_av
from mfd.headtrain.inference.video.names import Camera
from mfd.images import max_pixels
from mfd.text import first_line

# Containers that hold their frames themselves. Play lists and scripts, which name other files or
# addresses, are none of them, whatever a file is called.
_CONTAINERS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf"
_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
_RATE = 25.0  # frames per second where nothing says how many there are


@dataclass(frozen=True)
class Frame:
    """An image at its time, in seconds from the first; later frames have later times."""

    rgb: Image.Image
    seconds: float


class Video:
    """An opened video; `open_video` makes it.

    Attributes:
        rate: frames per second, as the file says.
        frames: how many, as the file says; None for a camera, or if it does not.
        damaged: pieces that could not be decoded so far.
    """

    def __init__(self, source: Path | Camera, container: Any, stream: Any) -> None:
        self._source, self._container, self._stream = source, container, stream
        self.rate = float(stream.average_rate or _RATE)
        seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
        counted = stream.frames or round(seconds * self.rate)
        self.frames = counted if counted > 0 and not isinstance(source, Camera) else None
        self.damaged = 0

    def __iter__(self) -> Iterator[Frame]:
        first: float | None = None
        seconds = -1 / self.rate
        size = None
        for decoded in self._decoded():
            image = decoded.to_image()
            if turn := _TURNS.get(round(decoded.rotation) % 360):
                image = image.transpose(turn)
            if size not in (None, image.size):
                raise DataError(
                    f"{self._source} changes its size from {size[0]} x {size[1]} to {image.width} "
                    f"x {image.height} pixels after {seconds:.2f} s; cut it there"
                )
            size = image.size
            time = decoded.time
            if time is None or (first is not None and time - first <= seconds):
                seconds += 1 / self.rate
            else:
                first = time if first is None else first
                seconds = time - first
            yield Frame(image, seconds)

    def _decoded(self) -> Iterator[Any]:
        """Frames as FFmpeg has them; what is damaged is counted and left out."""
        av = require_av()
        with _said(self._source):
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self.damaged += 1
                    continue
                yield from frames


@contextmanager
def open_video(source: Path | Camera) -> Iterator[Video]:
    """The video, its header read.

    No other file and no network is touched, whatever the file says. Frames are bounded like
    images, by `MFD_MAX_MEGAPIXELS`.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: it cannot be read or is no video, or its frames are too large. Iterating raises
            it too.
    """
    av = require_av()
    with ExitStack() as opened:
        with _said(source):
            if isinstance(source, Camera):
                place, kind = source.place()
                container = opened.enter_context(av.open(place, format=kind))
            else:
                if not source.is_file():
                    raise DataError(f"there is no video file {source}; check the path")
                options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
                container = opened.enter_context(av.open(os.path.abspath(source), options=options))
            stream = _stream(source, container)
        yield Video(source, container, stream)


@contextmanager
def _said(source: Path | Camera) -> Iterator[None]:
    """Raise FFmpeg's errors as what they mean for the source."""
    av = require_av()
    try:
        yield
    except av.error.FFmpegError as error:
        why = error.strerror or first_line(error)
        if isinstance(source, Camera):
            raise DataError(
                f"{source} cannot be read ({why}); give its number or name, and see that no other "
                "program has it"
            ) from error
        raise DataError(f"{source} is not a whole video ({why}); make it again") from error


def _stream(source: Path | Camera, container: Any) -> Any:
    if not container.streams.video:
        raise DataError(f"{source} has no video in it; give a video file")
    stream = container.streams.video[0]
    context, limit = stream.codec_context, max_pixels()
    if context is None:
        raise DataError(f"{source} is in a format that FFmpeg cannot decode; convert it")
    if context.width * context.height > limit:
        raise DataError(
            f"{source} has frames of {context.width} x {context.height} pixels, expected at most "
            f"{limit / 1e6:g} megapixels; make it smaller, or allow more by MFD_MAX_MEGAPIXELS"
        )
    context.options = {"max_pixels": str(limit)}  # also where the size changes later
    stream.thread_type = "AUTO"
    return stream
