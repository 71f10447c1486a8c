"""`mfd predict` on videos: which inputs are videos, and what the new ones are called."""

from pathlib import Path

import pytest

from mfd.cli import main
from mfd.commands.videos import chosen_videos, new_paths
from mfd.errors import ConfigError
from mfd.headtrain import Camera
from tests.headtrain.inference.test_video import make, read


def test_video_in_is_a_video_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(project / "clip.mp4")
    assert main(["predict", "clip.mp4", "--out", "seen.mp4", "--min-score", "0"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["seen.mp4", "seen.jsonl"]
    assert "frames: 6, masks of score 0 or more: " in captured.err
    assert "ms an image in detector and head" in captured.err
    assert len(read(project / "seen.mp4")[0]) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing is given; give images"),
        (["clip.mp4", "a.jpg"], "clip.mp4 is a video and a.jpg is not"),
        (["a.jpg", "--camera", "0"], "--camera takes the place of images"),
        (["clip.mp4", "--format", "coco"], "--format is for images"),
        (["--camera", "93", "--annotations", "a.json"], "--annotations is for images"),
        (["--camera", "93"], "camera 93 cannot be read"),
        (["gone.mp4"], "there is no video file gone.mp4"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    project: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_new_videos_are_named_after_their_sources() -> None:
    clips = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("B.MOV")]
    assert chosen_videos(clips, None) == clips
    assert [str(path) for path in new_paths(clips, None)] == [
        "predictions/clip.mp4.masks.mp4",
        "predictions/clip.mp4-2.masks.mp4",
        "predictions/B.MOV.masks.mp4",
    ]
    assert new_paths(clips[:1], Path("new.mkv")) == [Path("new.mkv")]
    assert new_paths([Camera("/dev/video2")], Path("seen")) == [
        Path("seen/camera-video2.masks.mp4")
    ]
    with pytest.raises(ConfigError, match="one name for 3 videos"):
        new_paths(clips, Path("new.mp4"))
