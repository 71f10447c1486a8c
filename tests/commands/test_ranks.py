"""Several processes of one `mfd train-head` or `mfd evaluate` do what one does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import mfd
from mfd.headtrain.training.metrics import Record, read_metrics
from tests.builders.figures import untimed


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The project of the driver, and the exit codes of its processes."""
    folder = tmp_path_factory.mktemp("ranks")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.commands.rank_driver", str(folder)],
        cwd=Path(mfd.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout.splitlines()[-1])


def said(folder: Path, what: str, rank: int) -> str:
    """What a process wrote; Gloo of PyTorch 2.9 and 2.10 writes of its connections, too."""
    lines = (folder / f"{what}-{rank}.txt").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("[Gloo] Rank "))


def assert_ended(ranks: tuple[Path, dict[str, Any]], what: str, *codes: int) -> None:
    """The processes ended with these exit codes; if not, what each of them said is shown."""
    folder, ended = ranks
    told = (f"rank {rank} of {what}:\n{said(folder, what, rank)}" for rank in range(len(codes)))
    assert ended[what] == [*codes], "\n".join(told)


def losses(folder: Path, run: str) -> list[Record]:
    return [r for r in read_metrics(folder / "runs" / run / "metrics.jsonl") if "loss" in r]


STEPS = {"stored-1": 12, "live-1": 4, "tuned-1": 3}
STARTED = {"swept": 2, "stored-2": 2, "stored-3": 3, "killed": 3, "live-3": 3, "tuned-2": 2}


@pytest.mark.parametrize(
    ("one", "run"),
    [
        ("stored-1", "stored-2"),
        ("stored-1", "stored-3"),
        ("stored-1", "killed"),  # by two, resumed by three
        ("stored-1", "swept"),
        ("live-1", "live-3"),
        ("tuned-1", "tuned-2"),
    ],
)
def test_ranks_have_the_losses_of_one(
    ranks: tuple[Path, dict[str, Any]], one: str, run: str
) -> None:
    folder, _ = ranks
    count = int(one[-1])
    assert_ended(ranks, one, *[0] * count)
    assert_ended(ranks, "resumed" if run == "killed" else run, *[0] * STARTED[run])
    expected, found = losses(folder, one), losses(folder, run)
    assert len(found) == len(expected) == STEPS[one]
    for theirs, ours in zip(expected[:10], found[:10], strict=True):
        names = [name for name in theirs if name.startswith("loss")]
        assert len(names) == (5 if one == "tuned-1" else 4)
        for name in names:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-7), ours["step"]
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    assert len({record["loss"] for record in found}) == len(found)


@pytest.mark.parametrize("run", ["stored-2", "stored-3", "killed"])
def test_ranks_end_with_the_weights_and_figures_of_one(
    ranks: tuple[Path, dict[str, Any]], run: str
) -> None:
    """But for the sampling offsets: their gradients are rounding here, by which Adam divides."""
    folder, _ = ranks
    expected, found = (
        load_file(folder / "runs" / name / "head.safetensors") for name in ("stored-1", run)
    )
    for name, value in expected.items():
        if "sampling_offsets" not in name:
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-5)
    costs = [
        json.loads((folder / "runs" / name / "cost.json").read_text())["training"]
        for name in ("stored-1", run)
    ]
    assert costs[0]["images"] == costs[1]["images"] == 3 * 13
    assert costs[0]["bytes"] == costs[1]["bytes"]
    validated = [
        [
            r["val_box_ap"]
            for r in read_metrics(folder / f"runs/{name}/metrics.jsonl")
            if "val_box_ap" in r
        ]
        for name in ("stored-1", run)
    ]
    assert len(validated[0]) == 3
    assert validated[0] == validated[1]


def test_the_first_rank_alone_speaks_and_writes(ranks: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ranks
    assert "trained: runs/stored-3/head.safetensors" in said(folder, "stored-3", 0)
    for rank in (1, 2):
        assert said(folder, "stored-3", rank) == said(folder, "evaluated-3", rank) == ""


def test_a_killed_rank_ends_the_others_with_one_line(ranks: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ranks
    assert_ended(ranks, "killed", 1, -9)
    last = said(folder, "killed", 0).splitlines()[-1]
    assert last.startswith("rank 0: error: another of the 2 processes has ended")
    assert last.endswith("start all of them again, a training with --resume")
    assert "Traceback" not in said(folder, "killed", 0)
    assert "resuming after step 6 of 12" in said(folder, "resumed", 0)


def test_sigterm_to_one_rank_stops_all_with_a_checkpoint(
    ranks: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = ranks
    assert_ended(ranks, "stopped", 143, 143)
    saved = [file.name for file in folder.glob("runs/stopped/checkpoints/*")]
    assert max(saved) == "step-00000008.pt"
    expected = "stopped after step 8 of 12; the same command with --resume resumes from there"
    assert said(folder, "stopped", 0).splitlines()[-1] == expected
    assert said(folder, "stopped", 1) == ""


def test_more_ranks_than_images_of_a_batch_are_refused(
    ranks: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = ranks
    assert_ended(ranks, "many", *[1] * 5)
    for rank in range(5):
        assert f"rank {rank}: error: 5 processes share batches of 4" in said(folder, "many", rank)


def test_ranks_evaluate_to_the_results_and_figures_of_one(
    ranks: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = ranks
    for count in (1, 3):
        assert_ended(ranks, f"evaluated-{count}", *[0] * count)
    files = [
        {file.name: file.read_bytes() for file in folder.glob(f"evaluated-{count}/*/*")}
        for count in (1, 3)
    ]
    assert files[0].keys() == files[1].keys() == {
        "evaluation.json", "results_bbox.json", "results_segm.json",
    }  # fmt: skip
    assert len(json.loads(files[0]["results_segm.json"])) == 5 * 15
    for name in ("results_bbox.json", "results_segm.json"):
        assert files[0][name] == files[1][name]
    figures = [untimed(each["evaluation.json"].decode()) for each in files]
    assert figures[0] == figures[1]
    assert figures[0]["images"] == 5


def test_gradients_are_summed_and_none_is_made_up(ranks: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ranks
    assert_ended(ranks, "summed", 0, 0, 0)
    for whole, single, unused, further in json.loads(said(folder, "summed", 0)):
        assert whole == [[0, 222, 444], [111, 333, 555]]
        assert single == [[1, 1, 1], [1, 1, 1]]
        assert unused is None
        assert further == [6]
