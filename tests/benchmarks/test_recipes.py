"""The benchmark of recipes runs what the file says, keeps rows as they come, and averages seeds."""

import argparse
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

import mfd.cli
from benchmarks.recipes import FIGURES, Task, measure, table, tasks
from mfd.commands.plan import Plan
from mfd.headtrain import HeadConfig, TrainConfig

ROOT = Path(__file__).parents[2]


def options(**values: Any) -> argparse.Namespace:
    usual = {"project": Path("p"), "seeds": [0, 1], "only": None, "device": "cpu"}
    return argparse.Namespace(**usual | values)


def test_every_recipe_of_the_project_has_settings_that_exist() -> None:
    recipes = tomllib.loads((ROOT / "benchmarks/recipes.toml").read_text())
    found = list(tasks(recipes, options()))
    assert len(found) == 2 * len(recipes["recipes"])
    made = set()
    for task in found:
        texts = [text for text in task.arguments if "=" in text]
        plan = Plan(None, HeadConfig(), TrainConfig()).changed(tuple(texts), None, None, None)
        made.add((plan.head, plan.recipe))
    assert len(made) == len(recipes["recipes"])  # no two are the same


def test_tasks_go_seed_by_seed_with_the_common_arguments_first() -> None:
    recipes = {"common": "--set lr=1", "recipes": {"a": "", "b": "--set lr=2"}}
    found = list(tasks(recipes, options()))
    assert [(t.name, t.seed) for t in found] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert found[1].arguments == ("--set", "lr=1", "--set", "lr=2")
    assert [t.run for t in tasks(recipes, options(only=["b"]))] == ["b-seed-0", "b-seed-1"]
    with pytest.raises(SystemExit, match="no recipe 'c'; known: a, b"):
        list(tasks(recipes, options(only=["c"])))


def test_measuring_trains_and_evaluates_and_a_failure_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    figures = {"box_ap": 0.4, **{f"mask_{name}": 0.3 for name in FIGURES}}

    def command(arguments: list[str]) -> int:
        calls.append(arguments)
        os.write(1, b"said")
        run = tmp_path / "runs/a-seed-3"
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.json").touch()
        (run / "evaluations/val-x").mkdir(parents=True, exist_ok=True)
        (run / "evaluations/val-x/evaluation.json").write_text(json.dumps(figures))
        return 1 if len(calls) > 2 else 0

    monkeypatch.setattr(mfd.cli, "main", command)
    monkeypatch.chdir(tmp_path)
    task = Task("a", ("--set", "lr=2"), 3, tmp_path, "cpu")
    row = measure(task)
    assert calls[0][:3] == ["train-head", "--run", "a-seed-3"]
    assert calls[0][-4:] == ["--set", "lr=2", "--set", "seed=3"]
    assert calls[1][:2] == ["evaluate", "a-seed-3"]
    assert {name: row[name] for name in figures} == figures
    assert row["train_wall_s"] >= 0
    assert measure(task)["failed"] == "train ended with exit 1"
    assert calls[2][-1] == "--resume"
    assert "said" in (tmp_path / "runs/a-seed-3.log").read_text()


def test_the_table_has_means_over_seeds_best_first() -> None:
    def row(name: str, seed: int, ap: float) -> dict[str, Any]:
        figures = {f"mask_{figure}": ap for figure in FIGURES}
        return {
            "name": name,
            "seed": seed,
            "box_ap": 0.5,
            "train_wall_s": 2.0,
            "train_cpu_s": 3.0,
        } | figures

    rows = [row("a", 0, 0.1), row("b", 0, 0.4), row("a", 1, 0.2)]
    lines = table([*rows, {"name": "c", "seed": 0, "failed": "train ended with exit 1"}]).split(
        "\n"
    )
    assert lines[2].startswith("| b | 1 | 0.400 |")
    assert lines[3].startswith("| a | 2 | 0.150 | 0.150 |")
    assert lines[3].endswith("| 0.30 | 2 | 3 |")
    assert "c, seed 0: train ended with exit 1" in lines
