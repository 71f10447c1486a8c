"""Progress without a terminal: few lines, the truth in each."""

import re

import pytest

from mfd.progress import progress


def test_the_last_line_says_all_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Extracting", total=5, done=2) as advance:
        advance()
        advance(2, note="unit 1")
        advance(0)  # as whoever looks again and finds nothing new
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # the first step came too soon for a line of its own
    assert lines[0].startswith("Extracting: 5/5, ")
    assert "images/s" in lines[0]
    assert lines[0].endswith("unit 1")


def test_progress_inside_another_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", total=2) as advance:
        with progress("evaluate", total=3) as inner:
            inner(3)
        advance(2)
    with progress("next", total=1) as advance:
        advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["train", "next"]


def test_a_narrow_terminal_shows_what_is_done_and_left_in_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    note = "epoch 11/40, loss 0.621, best val mask AP 0.384"
    with progress("train", total=118287, done=118280) as advance:
        advance(2, note=note)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    last = shown[shown.rindex("train") :]
    assert "118282/118287" in last
    assert "-:--:--" in last  # one step is too few for an estimate
    assert set(note.split()) <= set(last.split())
    assert max(map(len, last.splitlines())) <= 80
