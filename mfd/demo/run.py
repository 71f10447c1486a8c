"""The whole pipeline on a generated data set, each command as a user would type it."""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image
from rich.console import Console

from mfd.demo.curves import draw_curves, smoothed
from mfd.demo.dataset import generate
from mfd.demo.summary import Summary
from mfd.errors import ConfigError, MfdError

NUM_TRAIN, NUM_VAL, SEED = 240, 80, 0
_NUM_PREDICTED = 6
_RUN = "demo"
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

    Args:
        folder: becomes a project folder; absent or empty.

    Raises:
        ConfigError: the folder holds something.
        MfdError: a command failed; it has said why.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; name another folder by --out, or delete it")
    screen = Console(soft_wrap=True, highlight=False)
    started = time.monotonic()
    generate(folder / "data", NUM_TRAIN, NUM_VAL, SEED)
    (folder / "mfd.toml").write_text(_PROJECT, encoding="utf-8")
    screen.print(f"generated {NUM_TRAIN} train and {NUM_VAL} val images in {folder / 'data'}")
    screen.print(f"\n[bold]$ cd {folder}[/bold]")

    seconds: dict[str, float] = {"generate": time.monotonic() - started}
    lines = commands(folder)
    for name, line in lines.items():
        screen.print(f"\n[bold]$ {line}[/bold]")
        before = time.monotonic()
        _run(line, folder)
        seconds[name] = time.monotonic() - before

    run_dir = folder / "runs" / _RUN
    curves = folder / "loss_curves.png"
    _draw_losses(run_dir / "metrics.jsonl").save(curves)
    found = json.loads((run_dir / "evaluation.json").read_text(encoding="utf-8"))
    overlays = sorted((folder / "predictions").glob("*.png"))
    figures = ("box_ap", "mask_ap", "mask_ap_filled_boxes", "mask_ap_untrained")
    summary = Summary(
        **{name: found[name] for name in figures},
        seconds=round(time.monotonic() - started, 1),
        stage_seconds={name: round(value, 1) for name, value in seconds.items()},
        commands=tuple(lines.values()),
        pictures=tuple(str(path.relative_to(folder)) for path in (*overlays, curves)),
        evaluation=found,
    )
    summary.write(folder / "summary.json")
    screen.print()
    screen.print(summary.table())
    screen.print("Worth looking at:")
    for picture in (*summary.pictures, "summary.json"):
        screen.print(f"  {folder / picture}")
    return summary


def commands(folder: Path) -> dict[str, str]:
    """The commands in order, by a name for each, as they are typed inside the project folder."""
    images = sorted((folder / "data" / "val2017").iterdir())[:_NUM_PREDICTED]
    recipe = " ".join(f"--set {setting}" for setting in _RECIPE)
    names = " ".join(shlex.quote(str(path.relative_to(folder))) for path in images)
    return {
        "extract train": "mfd extract --split train",
        "extract val": "mfd extract --split val",
        "train-head": f"mfd train-head --run {_RUN} {recipe}",
        "evaluate": "mfd evaluate --baselines",
        "predict": f"mfd predict {names}",
    }


def _run(line: str, folder: Path) -> None:
    """The command in its own process, its output passed on.

    Raises:
        MfdError: it failed.
    """
    program, *arguments = shlex.split(line)
    assert program == "mfd"
    # the same interpreter, whether or not its scripts are on the PATH
    done = subprocess.run([sys.executable, "-m", "mfd.cli", *arguments], cwd=folder, check=False)
    if done.returncode:
        raise MfdError(
            f"the demo stopped: `{line}` ended with exit {done.returncode} in {folder}; "
            "its message is above"
        )


def _draw_losses(metrics: Path) -> Image.Image:
    """The curves of a run's losses, each the mean of five logged steps."""
    records = [json.loads(text) for text in metrics.read_text(encoding="utf-8").splitlines()]
    names = {"loss_bce": "cross-entropy", "loss_dice": "dice", "loss_iou": "IoU estimate"}
    lines = {
        label: smoothed([(record["epoch"], record[name]) for record in records], window=5)
        for name, label in names.items()
    }
    return draw_curves(lines, "Losses of the mask head", "epoch")
