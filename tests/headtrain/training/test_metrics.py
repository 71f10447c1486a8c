import json
from pathlib import Path

import pytest

from mfd.headtrain.training.metrics import MetricsLog, read_metrics


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        for step in (2, 4, 6):
            log.write({"step": step, "loss": step / 2})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # cut off by a kill
    with MetricsLog(tmp_path / "metrics.jsonl", start_step=4) as log:
        log.write({"step": 6, "loss": 0.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 2, "loss": 1.0},
        {"step": 4, "loss": 2.0},
        {"step": 6, "loss": 0.0},
    ]


def test_no_file_holds_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"9",
        b"[9]",
        b"\xff\xfe",
        b"\0" * 300,
        b"[" * 100_000,
        b'{"step": 9, "lo',
        b'{"loss": 1.0}',
        b'{"step": "9"}',
        b'{"step": true}',
        b'{"step": 9, "loss": null}',
    ],
)
@pytest.mark.parametrize("end", [b"\n", b""])
def test_damaged_lines_are_dropped(tmp_path: Path, line: bytes, end: bytes) -> None:
    good = b'{"step": 2, "loss": 0.5}\n'
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(good + line + b"\n" + good.replace(b"2", b"3") + line + end)
    assert [record["step"] for record in read_metrics(path)] == [2, 3]
    with MetricsLog(tmp_path / "metrics.jsonl", start_step=2) as log:
        log.write({"step": 4, "loss": 0.0})
    assert path.read_bytes() == good + b'{"step": 4, "loss": 0.0}\n'


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write({"step": 1, "loss": 0.5})
        assert read_metrics(log.path) == [{"step": 1, "loss": 0.5}]


def test_records_are_passed_on_as_they_are_written(tmp_path: Path) -> None:
    passed: list[object] = []
    with MetricsLog(tmp_path / "metrics.jsonl", also=passed.append) as log:
        for step in (2, 4):
            log.write({"step": step, "loss": step / 2})
    assert passed == read_metrics(tmp_path / "metrics.jsonl") != []
