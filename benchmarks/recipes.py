"""Recipes compared: each trained with several seeds and evaluated, several at once on one device.

    python -m benchmarks.recipes RECIPES.toml --project FOLDER --out FILE.json
        [--seeds 0 1] [--only NAME ...] [--jobs 6] [--threads 2] [--device cuda]

FOLDER has an `mfd.toml` and the stores of both splits. RECIPES.toml gives each recipe the arguments
of `mfd train-head`, and `common` those of all:

    common = "--preset paper --set roi_size=16 --set epochs=10"
    [recipes]
    paper = ""
    jitter = "--set box_jitter=0.1"

Runs go seed by seed, so that what is there after an interruption compares; the first goes alone,
because it builds the targets of the stores. Every row is written to
FILE.json as it comes, and a Markdown table of the means beside it; rows that are there already are
not run again. What the commands print is in RUN.log beside the runs.
"""

import argparse
import json
import os
import shlex
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.record import environment, write

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
HEADER = ("recipe", "seeds", "AP", "AP50", "AP75", "S", "M", "L", "AP / box AP", "wall s", "CPU s")


@dataclass(frozen=True)
class Task:
    """One training and its evaluation.

    Attributes:
        name: of the recipe.
        arguments: of `mfd train-head`, without those of `--run`, `--device` and the seed.
    """

    name: str
    arguments: tuple[str, ...]
    seed: int
    project: Path
    device: str

    @property
    def run(self) -> str:
        """Name of the run's folder."""
        return f"{self.name}-seed-{self.seed}"


def tasks(recipes: Mapping[str, Any], options: argparse.Namespace) -> Iterator[Task]:
    """What is to be run, seed by seed, in the file's order.

    Args:
        recipes: content of the recipes' file.
    """
    known = recipes["recipes"]
    if unknown := [name for name in options.only or () if name not in known]:
        raise SystemExit(f"there is no recipe {unknown[0]!r}; known: {', '.join(known)}")
    for seed in options.seeds:
        for name in options.only or known:
            arguments = shlex.split(f"{recipes.get('common', '')} {known[name]}")
            yield Task(name, tuple(arguments), seed, options.project.absolute(), options.device)


def measure(task: Task) -> dict[str, Any]:
    """The row of one task: figures, seconds of wall and CPU, or what the failed command returned.

    An interrupted run is resumed; its seconds are then those of the last part.
    """
    from mfd.cli import main

    os.chdir(task.project)
    row: dict[str, Any] = {"name": task.name, "seed": task.seed, "arguments": task.arguments}
    folder = task.project / "runs" / task.run
    device = ("--device", task.device, "--runs", "runs")
    train = ["train-head", "--run", task.run, *device]
    if (folder / "config.json").exists():
        train.append("--resume")
    else:
        train += [*task.arguments, "--set", f"seed={task.seed}"]
    folder.parent.mkdir(exist_ok=True)
    with _output_to(folder.with_suffix(".log")):
        for stage, arguments in (("train", train), ("evaluate", ["evaluate", task.run, *device])):
            wall, cpu = time.perf_counter(), time.process_time()
            if code := main(arguments):
                return {**row, "failed": f"{stage} ended with exit {code}"}
            row[f"{stage}_wall_s"] = round(time.perf_counter() - wall, 2)
            row[f"{stage}_cpu_s"] = round(time.process_time() - cpu, 2)
    (evaluation,) = folder.glob("evaluations/val-*/evaluation.json")
    found = json.loads(evaluation.read_text())
    wanted = ("box_ap", *(f"mask_{name}" for name in FIGURES))
    return {**row, **{name: found[name] for name in wanted}}


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """A context whose output, also that of C libraries, is appended to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(stream) for stream in (1, 2)]
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, old in zip((1, 2), saved, strict=True):
                os.dup2(old, stream)
                os.close(old)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: the mean over the seeds of every recipe, best AP first; failures below."""
    lines = [f"| {' | '.join(HEADER)} |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
    done: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "failed" not in row:
            done.setdefault(row["name"], []).append(row)
    for name in sorted(done, key=lambda name: -_mean(done[name], "mask_ap")):
        of = done[name]
        figures = [f"{_mean(of, f'mask_{figure}'):.3f}" for figure in FIGURES]
        ratio = f"{_mean(of, 'mask_ap') / _mean(of, 'box_ap'):.2f}"
        seconds = [f"{_mean(of, f'train_{kind}_s'):.0f}" for kind in ("wall", "cpu")]
        lines.append(f"| {' | '.join([name, str(len(of)), *figures, ratio, *seconds])} |")
    failed = [row for row in rows if "failed" in row]
    lines += [f"\n{row['name']}, seed {row['seed']}: {row['failed']}" for row in failed]
    return "\n".join(lines) + "\n"


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """Over the rows; NaN where a figure is undefined."""
    values = [row[name] for row in rows]
    return float("nan") if None in values else mean(values)


def main() -> None:
    """Runs what is missing; every row is kept as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", type=Path)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each job")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before the jobs import torch
    content = json.loads(options.out.read_text()) if options.out.exists() else {}
    rows = [row for row in content.get("rows", ()) if "failed" not in row]
    there = {(row["name"], row["seed"]) for row in rows}
    recipes = tomllib.loads(options.recipes.read_text())
    wanted = [task for task in tasks(recipes, options) if (task.name, task.seed) not in there]
    setting = {**environment(_device_type(options.device)), "jobs": options.jobs}
    setting["threads"] = options.threads
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(measure, task): task for task in wanted[:1]}
        wait(running)  # it builds the targets that the others share
        running |= {pool.submit(measure, task): task for task in wanted[1:]}
        for done in as_completed(running):
            task, fault = running[done], done.exception()
            failed = {"name": task.name, "seed": task.seed, "failed": repr(fault)}
            rows.append(failed if fault else done.result())
            write(options.out, {**setting, "common": recipes.get("common", ""), "rows": rows})
            options.out.with_suffix(".md").write_text(table(rows))
            print(json.dumps(rows[-1]), flush=True)
    print(table(rows))


def _device_type(name: str) -> str:
    from mfd.opening import pick_device

    return pick_device(name).type


if __name__ == "__main__":
    main()
