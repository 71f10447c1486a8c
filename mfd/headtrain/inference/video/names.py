"""What a video is called, and what a camera is; imports nothing heavy."""

import sys
from dataclasses import dataclass

_FAMILIAR = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv")
_OTHERS = (".ts", ".mts", ".m2ts", ".flv", ".3gp", ".ogv", ".mxf")
VIDEO_SUFFIXES = frozenset(_FAMILIAR + _OTHERS)
"""Endings of files that are taken for videos."""


@dataclass(frozen=True)
class Camera:
    """A camera, by its number or by the name that the system has for it, such as /dev/video2."""

    name: str

    def place(self, platform: str = sys.platform) -> tuple[str, str]:
        """What FFmpeg calls the camera, and the kind of device it is there."""
        if platform == "darwin":
            return self.name, "avfoundation"
        if platform == "win32":
            return f"video={self.name}", "dshow"
        return f"/dev/video{self.name}" if self.name.isdecimal() else self.name, "v4l2"

    def __str__(self) -> str:
        return f"camera {self.name}"
