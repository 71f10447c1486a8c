"""Videos that are made here, predicted, and read back."""

import gc
import json
import os
import resource
import signal
import weakref
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mfd.errors import ConfigError, DataError
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.prediction import Prediction, draw_predictions
from mfd.headtrain.inference.video.names import Camera
from mfd.headtrain.inference.video.predict import predict_video
from mfd.headtrain.inference.video.source import open_video
from mfd.stopping import Stopped

av = pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")

TIMES = (0.0, 0.1, 0.4, 0.5, 0.75, 1.0)


class Middle(Predictor):
    """Finds a rectangle in the middle of every frame."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(
        self, images: Sequence[Image.Image], *shown: Any, **options: Any
    ) -> list[list[Prediction]]:  # type: ignore[override]
        self.calls.append(len(images))
        return [self.found(image) for image in images]

    def found(self, image: Image.Image) -> list[Prediction]:
        mask = np.zeros((image.height, image.width), np.uint8)
        mask[image.height // 4 : -image.height // 4, image.width // 4 : -image.width // 4] = 1
        rle = mask_utils.encode(np.asfortranarray(mask))
        return [Prediction(5, "cat", 0.9, 0.8, (0, 0, 5, 5), rle, 0)]


def make(
    path: Path, size_wh: tuple[int, int] = (96, 64), times: Sequence[float] = TIMES, turn: int = 0
) -> Path:
    """Frames in greys that rise with their number, each with a white upper left corner."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10, options={"crf": "5", "g": "2"})
        stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for number, seconds in enumerate(times):
            pixels = np.full((size_wh[1], size_wh[0], 3), (10 + 20 * number) % 200, np.uint8)
            pixels[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [f.to_ndarray(format="rgb24") for f in frames], [f.time for f in frames]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_frame_has_its_masks_at_its_time(tmp_path: Path, batch_size: int) -> None:
    clip, predictor = make(tmp_path / "clip.mkv"), Middle()
    done = predict_video(predictor, clip, tmp_path / "out.mp4", batch_size=batch_size)
    assert predictor.calls == ([1] * 6 if batch_size == 1 else [4, 2])
    assert (done.frames, done.masks, done.fault) == (6, 6, None)
    frames, times = read(tmp_path / "out.mp4")
    assert times == pytest.approx(TIMES, abs=1e-3)
    for number, frame in enumerate(frames):
        grey = Image.new("RGB", (96, 64), (10 + 20 * number,) * 3)
        grey.paste((255, 255, 255), (0, 0, 16, 16))
        drawn = draw_predictions(grey, predictor.found(grey), by_category=True)
        assert np.abs(frame.astype(int) - np.asarray(drawn)).mean() < 6
        plain = np.abs(frame.astype(int) - np.asarray(grey)).mean()
        assert plain > 12
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert [line["seconds"] for line in lines] == pytest.approx(TIMES, abs=1e-3)
    expected = [each.to_dict() for each in predictor.found(grey)]
    assert all(line["predictions"] == expected for line in lines)


def test_turned_video_is_made_upright(tmp_path: Path) -> None:
    """A phone held upright stores frames on their side, and by how much they are turned."""
    for turn, corner in ((90, (-8, 8)), (180, (-8, -8)), (270, (8, -8))):
        clip = make(tmp_path / f"{turn}.mp4", turn=turn)
        with open_video(clip) as video:
            rgb = next(iter(video)).rgb
        assert rgb.size == ((64, 96) if turn != 180 else (96, 64))
        pixels = np.asarray(rgb)
        assert pixels[corner[0], corner[1]].min() > 200, turn
        assert pixels[8, 8].max() < 60


def test_odd_sides_are_extended_by_their_last_pixels(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "odd.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = 75, 51, "bgr0"
        pixels = np.zeros((51, 75, 3), np.uint8)
        pixels[:, 60:] = 200
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    class Nothing(Middle):
        def found(self, image: Image.Image) -> list[Prediction]:
            return []

    predict_video(Nothing(), tmp_path / "odd.mkv", tmp_path / "out.mp4")
    ((frame,), _) = read(tmp_path / "out.mp4")
    assert frame.shape == (52, 76, 3)
    assert np.abs(frame[:, -2:].astype(int) - 200).max() < 12


def test_few_frames_are_in_memory_at_a_time(tmp_path: Path) -> None:
    alive: list[int] = []
    seen: list[Any] = []

    class Counting(Middle):
        def __call__(self, images: Sequence[Image.Image], *shown: Any, **options: Any) -> Any:  # type: ignore[override]
            seen.extend(map(weakref.ref, images))
            gc.collect()
            alive.append(sum(one() is not None for one in seen))
            return super().__call__(images, *shown, **options)

    clip = make(tmp_path / "clip.mp4", times=[n / 10 for n in range(30)])
    predict_video(Counting(), clip, tmp_path / "out.mp4", batch_size=2)
    assert len(alive) == 15
    assert max(alive) <= 5


def test_interrupted_video_can_be_played(tmp_path: Path) -> None:
    class Interrupted(Middle):
        def __call__(self, images: Sequence[Image.Image], *shown: Any, **options: Any) -> Any:  # type: ignore[override]
            if len(self.calls) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(images, *shown, **options)

    clip = make(tmp_path / "clip.mp4")
    with pytest.raises(Stopped, match=r"out\.mp4 has 4 frames"):
        predict_video(Interrupted(), clip, tmp_path / "out.mp4")
    frames, times = read(tmp_path / "out.mp4")
    assert times == pytest.approx(TIMES[:4], abs=1e-3)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(frames) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.mp4", "out.jsonl"}


def test_camera_is_read_until_someone_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg's test picture stands for a camera: it has no end."""
    monkeypatch.setattr(Camera, "place", lambda self: ("testsrc=size=96x64:rate=10", "lavfi"))

    class Interrupted(Middle):
        def __call__(self, images: Sequence[Image.Image], *shown: Any, **options: Any) -> Any:  # type: ignore[override]
            if len(self.calls) == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__call__(images, *shown, **options)

    with pytest.raises(Stopped) as stopped:
        predict_video(Interrupted(), Camera("0"), tmp_path / "out.mp4")
    assert stopped.value.signum == signal.SIGTERM
    assert len(read(tmp_path / "out.mp4")[0]) == 7


def test_cameras_are_named_as_each_system_does() -> None:
    assert Camera("0").place("linux") == ("/dev/video0", "v4l2")
    assert Camera("/dev/video2").place("linux") == ("/dev/video2", "v4l2")
    assert Camera("0").place("darwin") == ("0", "avfoundation")
    assert Camera("HD Webcam").place("win32") == ("video=HD Webcam", "dshow")
    with pytest.raises(DataError, match="camera 93 cannot be read"), open_video(Camera("93")):
        pass


def playlist(path: Path) -> Path:
    """Named like a video, it would have FFmpeg read another file."""
    other = make(path.with_name("other.ts"))
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")
    return path


def concatenation(path: Path) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{make(path.with_name('other.mp4'))}'\n")
    return path


def cut(path: Path) -> Path:
    whole = make(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def text(path: Path) -> Path:
    path.write_text("no video")
    return path


@pytest.mark.parametrize("kind", [playlist, concatenation, cut, sound, text])
def test_what_is_no_whole_video_is_refused_in_one_line(tmp_path: Path, kind: Any) -> None:
    clip = kind(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match=r"clip\.mp4 (is not a whole|has no) video") as refused:
        predict_video(Middle(), clip, tmp_path / "out.mp4")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*out*"))


def test_absent_and_enormous_videos_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="there is no video file"):
        predict_video(Middle(), tmp_path / "none.mp4", tmp_path / "out.mp4")
    monkeypatch.setenv("MFD_MAX_MEGAPIXELS", "0.006")
    with pytest.raises(DataError, match=r"96 x 64 pixels, expected at most 0\.006 megapixels"):
        predict_video(Middle(), make(tmp_path / "clip.mp4"), tmp_path / "out.mp4")


def test_what_a_truncated_stream_has_is_kept_and_the_fault_is_said(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", times=[n / 10 for n in range(30)])
    content = bytearray(clip.read_bytes())
    start = content.index(b"mdat")
    length = int.from_bytes(content[start - 4 : start], "big")
    content[start + length // 2 : start + length * 2 // 3] = bytes(length * 2 // 3 - length // 2)
    clip.write_bytes(content)
    done = predict_video(Middle(), clip, tmp_path / "out.mp4")
    assert 3 < done.frames <= 30
    assert len(read(tmp_path / "out.mp4")[0]) == done.frames
    assert "is damaged in" in str(done.fault)


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    with pytest.raises(ConfigError, match="was not made by"):
        predict_video(Middle(), clip, clip)
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match=r"out\.jsonl exists and was not made by"):
        predict_video(Middle(), clip, tmp_path / "out.mp4")
    assert clip.read_bytes() == before
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    (tmp_path / "out.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"ends in '\.gif', expected \.mp4"):
        predict_video(Middle(), clip, tmp_path / "out.gif")
    for _ in range(2):  # the second time over the first
        assert predict_video(Middle(), clip, tmp_path / "new.mkv").frames == 6


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of files")
def test_video_that_cannot_be_written_is_closed_and_removed(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    clip, before = make(tmp_path / "clip.mp4"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            predict_video(Middle(), clip, tmp_path / "out" / "seen.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("out/*.mp4"))
    files = (os.path.realpath(file) for file in Path("/proc/self/fd").iterdir())
    assert not [file for file in files if "seen" in file]
