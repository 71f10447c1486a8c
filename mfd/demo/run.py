"""The whole pipeline on a generated data set, each command as a user would type it."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from mfd.demo.dataset import generate
from mfd.demo.summary import Summary
from mfd.errors import ConfigError, MfdError
from mfd.stopping import Stopped, stops_cleanly

NUM_TRAIN, NUM_VAL, SEED = 240, 80, 0
_NUM_PREDICTED = 6
_RUN = "demo"
_SUMMARY = "summary.json"
_PROJECT = """\
# Where `mfd` finds everything when it is started in this folder; flags override it.
data = "data"
stores = "stores"
runs = "runs"
detector = "demo"
"""
_RECIPE = ("roi_size=16", "epochs=7", "batch_size=4", "lr=1e-3")  # pictures are small and few


def run_demo(folder: Path) -> Summary:
    """Generates data, then extracts, trains, evaluates and predicts; `summary.json` says it all.

    A stopped demo is resumed, and a finished one is shown again.

    Args:
        folder: becomes a project folder; absent, empty or an earlier demo's.

    Raises:
        ConfigError: the folder holds something else.
        MfdError: a command failed; it has said why.
    """
    screen = Console(soft_wrap=True, highlight=False)
    if (folder / _SUMMARY).exists():
        summary = Summary.read(folder / _SUMMARY)
        _show(screen, folder, summary)
        screen.print(f"Nothing was left to do; delete {folder} to see it done again.")
        return summary
    started = time.monotonic()
    _begin(folder)
    screen.print(f"{NUM_TRAIN} train and {NUM_VAL} val images are in {folder / 'data'}")
    screen.print(f"\n[bold]$ cd {folder}[/bold]")

    seconds: dict[str, float] = {"generate": time.monotonic() - started}
    lines = commands(folder)
    for name, line in lines.items():
        screen.print(f"\n[bold]$ {line}[/bold]")
        before = time.monotonic()
        _run(line, folder)
        seconds[name] = time.monotonic() - before

    run_dir = folder / "runs" / _RUN
    (evaluation,) = run_dir.glob("evaluations/val-*/evaluation.json")
    found = json.loads(evaluation.read_text(encoding="utf-8"))
    pictures = [*sorted((folder / "predictions").glob("*.png")), folder / "report.html"]
    figures = ("box_ap", "mask_ap", "mask_ap_filled_boxes", "mask_ap_untrained")
    summary = Summary(
        **{name: found[name] for name in figures},
        seconds=round(time.monotonic() - started, 1),
        stage_seconds={name: round(value, 1) for name, value in seconds.items()},
        commands=tuple(lines.values()),
        pictures=tuple(str(path.relative_to(folder)) for path in pictures),
        evaluation=found,
    )
    summary.write(folder / _SUMMARY)
    screen.print()
    _show(screen, folder, summary)
    return summary


def _begin(folder: Path) -> None:
    """The project file and the data, where they are not there yet."""
    project, data = folder / "mfd.toml", folder / "data"
    ours = project.exists() and project.read_text(encoding="utf-8") == _PROJECT
    if folder.exists() and any(folder.iterdir()) and not ours:
        raise ConfigError(f"{folder} exists but is not a demo; choose another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    project.write_text(_PROJECT, encoding="utf-8")
    if not data.exists():
        unfinished = folder / ".data"
        generate(unfinished, NUM_TRAIN, NUM_VAL, SEED)
        unfinished.rename(data)


def _show(screen: Console, folder: Path, summary: Summary) -> None:
    screen.print(summary.table())
    screen.print("Worth looking at:")
    for picture in (_SUMMARY, *summary.pictures):
        screen.print(f"  {folder / picture}")


def commands(folder: Path) -> dict[str, str]:
    """The commands in order, by a name for each, as they are typed inside the project folder."""
    images = sorted((folder / "data" / "val2017").iterdir())[:_NUM_PREDICTED]
    recipe = " ".join(f"--set {setting}" for setting in _RECIPE)
    started = (folder / "runs" / _RUN / "config.json").exists()
    train = f"--run {_RUN} --resume" if started else f"--run {_RUN} {recipe}"
    names = " ".join(shlex.quote(str(path.relative_to(folder))) for path in images)
    return {
        "extract train": "mfd extract --split train",
        "extract val": "mfd extract --split val",
        "train-head": f"mfd train-head {train}",
        "evaluate": "mfd evaluate --baselines",
        "predict": f"mfd predict {names}",
        "report": "mfd report --out report.html",
    }


def _run(line: str, folder: Path) -> None:
    """The command in its own process, its output passed on.

    Raises:
        MfdError: it failed.
        Stopped: by a signal, when the command has put its work in safety.
    """
    program, *arguments = shlex.split(line)
    assert program == "mfd"
    # the same interpreter, whether or not its scripts are on the PATH
    command = subprocess.Popen([sys.executable, "-m", "mfd", *arguments], cwd=folder)
    try:
        with stops_cleanly():
            code = command.wait()
    except Stopped as stop:
        if stop.signum != signal.SIGINT:  # which a terminal sends to the command too
            command.send_signal(stop.signum)
        command.wait()
        raise Stopped("the demo stopped; `mfd demo` resumes it", stop.signum) from stop
    if code:
        raise MfdError(
            f"the demo stopped: `{line}` ended with exit {code} in {folder}; its message is above"
        )
