"""`mfd predict` on videos and cameras: which they are, and where the new ones go."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mfd import headtrain
from mfd.console import print_path, say
from mfd.errors import ConfigError

if TYPE_CHECKING:
    from mfd.headtrain import Camera, Predictor, Shown


def chosen_videos(paths: Sequence[Path], camera: str | None) -> "list[Path | Camera]":
    """The camera, or the videos among the paths; none where they are images.

    Raises:
        ConfigError: nothing is given, or things that are done apart.
    """
    videos = [path for path in paths if path.suffix.lower() in headtrain.VIDEO_SUFFIXES]
    if camera is not None:
        if paths:
            raise ConfigError(f"--camera takes the place of images, found {paths[0]}; give one")
        return [headtrain.Camera(camera)]
    if not paths:
        raise ConfigError("nothing is given; give images, folders of them, videos, or --camera")
    if videos and len(videos) < len(paths):
        other = next(path for path in paths if path not in videos)
        raise ConfigError(f"{videos[0]} is a video and {other} is not; predict them one by one")
    return list(videos)


def predict_videos(
    predictor: "Predictor",
    videos: "Sequence[Path | Camera]",
    out: Path | None,
    shown: "Shown",
    batch_size: int,
    scale: int,
) -> None:
    """Make one video after the other.

    Raises:
        ConfigError: several are to have one name.
        DataError: one cannot be used, or not to its end.
    """
    for source, path in zip(videos, new_paths(videos, out), strict=True):
        done = headtrain.predict_video(
            predictor, source, path, shown, batch_size=batch_size, scale=scale
        )
        print_path(done.path)
        print_path(done.results)
        say(done.summary(shown.min_score))
        if done.fault is not None:
            raise done.fault


def new_paths(videos: "Sequence[Path | Camera]", out: Path | None) -> list[Path]:
    """`out` itself if it is named like a video, else names in that folder."""
    if out is not None and out.suffix.lower() in headtrain.VIDEO_SUFFIXES:
        if len(videos) > 1:
            raise ConfigError(f"--out {out} is one name for {len(videos)} videos; give a folder")
        return [out]
    folder = out or Path("predictions")
    names = [v.name if isinstance(v, Path) else f"camera-{Path(v.name).name}" for v in videos]
    return [folder / f"{name}.masks.mp4" for name in headtrain.distinct(names)]
