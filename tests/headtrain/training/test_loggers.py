"""Each logger writes for real, offline, and what it wrote is read back."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mfd.errors import ConfigError
from mfd.headtrain.training import loggers
from mfd.headtrain.training.loggers import open_logger

SETTINGS = {"train": {"lr": 1e-3}, "preset": "paper"}
RECORDS = [{"step": 2, "loss": 1.5}, {"step": 4, "loss": 0.5, "val_mask_ap": 0.25}]


def write(log: Any, folder: Path, records: list[dict[str, Any]], start_step: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    logger = open_logger(log, folder, start_step, SETTINGS)
    for record in records:
        logger.write(record)
    logger.close()


@pytest.mark.parametrize("log", ["tensorboard", "trackio", "wandb"])
def test_missing_package_is_named_with_what_installs_it(
    log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "torch.utils.tensorboard" if log == "tensorboard" else log
    monkeypatch.setitem(sys.modules, module, None)
    open_logger("none", tmp_path, 0, SETTINGS).write(RECORDS[0])
    with pytest.raises(ConfigError, match=rf"pip install 'mfd\[{log}\]'"):
        open_logger(log, tmp_path, 0, SETTINGS)


def test_tensorboard_gets_every_value_and_forgets_what_is_repeated(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write("tensorboard", tmp_path, [*RECORDS, {"step": 6, "loss": 9.0}])
    write("tensorboard", tmp_path, [{"step": 6, "loss": 0.25}], start_step=4)
    found = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(2, 1.5), (4, 0.5), (6, 0.25)]
    assert [(e.step, e.value) for e in found.Scalars("val_mask_ap")] == [(4, 0.25)]


PROGRAM = """
import json, sys
from pathlib import Path
from mfd.headtrain.training.loggers import open_logger
log, folder = sys.argv[1], Path(sys.argv[2])
start, records, settings = map(json.loads, sys.argv[3:])
logger = open_logger(log, folder, start, settings)
for record in records:
    logger.write(record)
logger.close()
"""


def apart(log: str, folder: Path, records: list[dict[str, Any]], start: int, **names: str) -> None:
    """In a process of its own, since these packages leave threads and handlers behind."""
    folder.mkdir(exist_ok=True)
    values = [json.dumps(value) for value in (start, records, SETTINGS)]
    command = [sys.executable, "-c", PROGRAM, log, str(folder), *values]
    subprocess.run(command, check=True, env={**os.environ, **names}, timeout=300)


def wandb_history(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """Steps and values in the files of offline runs: LevelDB's log format after seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        content, place = file.read_bytes(), 7
        assert len(content) < 2**15  # one block
        while place < len(content):
            length = int.from_bytes(content[place + 4 : place + 6], "little")
            record = Record.FromString(content[place + 7 : place + 7 + length])
            place += 7 + length
            items = {i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
            values = {name: value for name, value in items.items() if not name.startswith("_")}
            if values:
                found.append((items["_step"], values))
    return found


def test_wandb_gets_every_value_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (extra `wandb`)")
    run = tmp_path / "paper-1"
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(tmp_path)}
    apart("wandb", run, RECORDS, 0, **offline)
    apart("wandb", run, [{"step": 6, "loss": 0.25}], 4, **offline)
    assert wandb_history(run) == [
        (2, {"loss": 1.5}),
        (4, {"loss": 0.5, "val_mask_ap": 0.25}),
        (6, {"loss": 0.25}),
    ]
    folders = [path.name for path in run.glob("wandb/offline-run-*")]
    assert len(folders) == 2
    assert {name.rpartition("-")[2] for name in folders} == {(run / "log-id").read_text()}


class Recorded:
    """Stands for Trackio, which asks for an older Pillow than mfd has: what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def init(self, **values: Any) -> "Recorded":
        self.calls.append(("init", values))
        return self

    def log(self, values: dict[str, Any], step: int) -> None:
        self.calls.append(("log", values, step))

    def finish(self) -> None:
        self.calls.append("finish")


def test_trackio_gets_every_value_and_a_resumed_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = Recorded()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    run = tmp_path / "paper-1"
    write("trackio", run, RECORDS)
    write("trackio", run, [{"step": 6, "loss": 0.25}], start_step=4)
    name = f"paper-1-{(run / 'log-id').read_text()}"
    begun = ("init", {"project": "mfd", "name": name, "config": SETTINGS, "resume": "allow"})
    assert trackio.calls == [
        begun,
        ("log", {"loss": 1.5}, 2),
        ("log", {"loss": 0.5, "val_mask_ap": 0.25}, 4),
        "finish",
        begun,
        ("log", {"loss": 0.25}, 6),
        "finish",
    ]
    write("trackio", run, RECORDS)  # from the start: another run
    assert trackio.calls[7][1]["name"] != name


def test_trackio_keeps_a_run_on_this_machine(tmp_path: Path) -> None:
    """The real package, wherever its older Pillow may be installed."""
    pytest.importorskip("trackio", reason="trackio is not installed (extra `trackio`)")
    run, home = tmp_path / "paper-1", tmp_path / "trackio"
    local = {"TRACKIO_DIR": str(home), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    apart("trackio", run, RECORDS, 0, **local)
    apart("trackio", run, [{"step": 6, "loss": 0.25}], 4, **local)
    with closing(sqlite3.connect(home / "mfd.db")) as base:
        found = base.execute("select run_name, step, metrics from metrics order by step").fetchall()
    name = f"paper-1-{(run / 'log-id').read_text()}"
    assert [(step, json.loads(values)) for _, step, values in found] == [
        (2, {"loss": 1.5}),
        (4, {"loss": 0.5, "val_mask_ap": 0.25}),
        (6, {"loss": 0.25}),
    ]
    assert {each for each, _, _ in found} == {name}


@pytest.mark.parametrize("log", ["tensorboard", "trackio", "wandb"])
def test_ranks_other_than_the_first_tell_no_service(
    log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would begin a run of its own, and take the place of the first one's identity."""
    monkeypatch.setattr(loggers, "rank", lambda: 1)
    write(log, tmp_path / "paper-1", RECORDS)
    assert list((tmp_path / "paper-1").iterdir()) == []


def test_service_that_cannot_begin_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wandb:
        class Error(Exception):
            pass

        def init(self, **values: Any) -> None:
            raise self.Error("api_key not configured (no-tty)\ncall wandb.login(key=...)")

    monkeypatch.setitem(sys.modules, "wandb", Wandb())
    with pytest.raises(ConfigError, match=r"\(api_key not configured .*run `wandb login`, or set"):
        open_logger("wandb", tmp_path, 0, SETTINGS)
