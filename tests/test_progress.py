"""Progress without a terminal: few lines, the truth in each."""

import pytest

from mfd.progress import progress


def test_the_last_line_says_all_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Extracting", total=5, done=2) as advance:
        advance()
        advance(2, note="unit 1")
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
