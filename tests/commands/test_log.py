"""`mfd train-head --log`: what a service reads is what the run's own metrics say."""

import json
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL


def test_tensorboard_reads_the_metrics_of_the_run(project: Path) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed (extra `tensorboard`)",
    )
    assert main(["train-head", "--run", "logged", "--log", "tensorboard", *SMALL]) == 0
    run = project / "runs" / "logged"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = events.EventAccumulator(str(run / "tensorboard")).Reload()
    names = {name for line in lines for name in line} - {"step"}
    assert {"loss", "lr"} <= names
    assert set(found.Tags()["scalars"]) == names
    for name in names:
        logged = {line["step"]: line[name] for line in lines if name in line}
        assert {e.step: e.value for e in found.Scalars(name)} == pytest.approx(logged), name
