"""Masks of every frame, drawn into a video and listed beside it."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mfd.errors import ConfigError, DataError
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.prediction import Prediction, draw_predictions
from mfd.headtrain.inference.shown import DEFAULT, Shown
from mfd.headtrain.inference.timing import Timing
from mfd.headtrain.inference.video.names import Camera
from mfd.headtrain.inference.video.sink import VideoSink
from mfd.headtrain.inference.video.source import Frame, open_video
from mfd.progress import progress
from mfd.stopping import Stopped, stop_requested


@dataclass(frozen=True)
class PredictedVideo:
    """What `predict_video` wrote.

    Attributes:
        path: the video with masks.
        results: its predictions, a line of JSON for each frame.
        frames, masks: how many.
        fault: what of the video could not be used; None if all was.
        timing: what a frame took.
    """

    path: Path
    results: Path
    frames: int
    masks: int
    fault: DataError | None
    timing: Timing

    def summary(self, min_score: float) -> str:
        """One line: how much was found, and the time."""
        found = f"frames: {self.frames}, masks of score {min_score:g} or more: {self.masks}"
        return f"{found}; {self.timing}"


def predict_video(
    predictor: Predictor,
    source: Path | Camera,
    path: Path,
    shown: Shown = DEFAULT,
    *,
    batch_size: int = 1,
    scale: int = 1,
) -> PredictedVideo:
    """Draw the instances of every frame into a new video, and list them beside it.

    Frames pass one batch at a time, so memory does not grow with the video. A category keeps its
    colour. The list, of the video's name with the ending .jsonl, has a line for each frame: its
    number, its time in seconds, and the predictions as `Prediction.to_dict` has them. However this
    ends, what was done until then can be played. Sound is left out.

    Args:
        path: of the new video, .mp4, .mov or .mkv; an earlier one by mfd is replaced.
        batch_size: frames that pass the detector together.
        scale: the video has `scale` times the height and width.

    Raises:
        ConfigError: PyAV is not installed, or `path` is a file that mfd did not make.
        DataError: the source has no frame that can be read.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, when the video is closed.
    """
    results = path.with_suffix(".jsonl")
    frames = masks = 0
    timing = Timing()
    fault: DataError | None = None
    with open_video(source) as video:
        if results.exists() and not _is_list(results):
            raise ConfigError(
                f"{results} exists and was not made by `mfd predict`; move it, or name another file"
            )
        sink = VideoSink(path, video.rate)
        try:
            with (
                results.open("w", encoding="ascii") as listed,
                progress("predict", video.frames, unit="frames") as advance,
                stop_requested() as stop_signal,
            ):
                for batch in _batches(video, batch_size):
                    started = time.monotonic()
                    pixels = [frame.rgb for frame in batch]
                    numbers = range(frames, frames + len(batch))
                    found = predictor(pixels, shown, image_ids=numbers)
                    timing.add(len(batch), time.monotonic() - started)
                    for frame, each in zip(batch, found, strict=True):
                        drawn = draw_predictions(frame.rgb, each, scale, by_category=True)
                        sink.add(drawn, frame.seconds)
                        _write(listed, frames, frame, each)
                        frames, masks = frames + 1, masks + len(each)
                        advance()
                    if signum := stop_signal():
                        raise Stopped(f"stopped; {path} has {frames} frames", signum)
        except DataError as error:
            fault = error
        finally:
            sink.close()
    if not frames:
        results.unlink(missing_ok=True)
        raise fault or DataError(f"{source} has no frame that can be read; make it again")
    timing.end()
    if fault is None and video.damaged:
        fault = DataError(
            f"{source} is damaged in {video.damaged} places, which were left out; make it again"
        )
    return PredictedVideo(path, results, frames, masks, fault, timing)


def _batches(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(file: IO[str], number: int, frame: Frame, found: list[Prediction]) -> None:
    line = {
        "frame": number,
        "seconds": round(frame.seconds, 4),
        "predictions": [each.to_dict() for each in found],
    }
    file.write(json.dumps(line) + "\n")


def _is_list(path: Path) -> bool:
    """Whether a file is an earlier list of predictions, which may be empty."""
    try:
        with path.open("rb") as file:
            start = file.read(10)
    except OSError:
        return False
    return start in (b"", b'{"frame": ')
