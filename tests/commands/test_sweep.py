"""`mfd sweep` as a user types it."""

import json
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL


def test_heads_of_the_command_are_those_of_train_head_and_have_a_row_each(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = ["steep:lr=5e-3", "plain:focalnet-2-2,bce_weight=1", "wild:lr=1e30"]
    assert main(["sweep", *heads, *SMALL, "--json"]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith(
        "error: 1 of 3 heads could not be trained to their end: wild; the reasons are said above"
    )
    assert "read together: steep, plain, wild" in told.err
    assert "wild: the loss or its gradient is not finite at step" in told.err
    steep, plain, wild = json.loads(told.out)
    assert main(["train-head", "--run", "alone", *SMALL, "--set=lr=5e-3"]) == 0
    alone, swept = (Path("runs", name, "head.safetensors") for name in ("alone", "steep"))
    assert swept.read_bytes() == alone.read_bytes()
    assert (plain["preset"], plain["changes"]) == ("focalnet-2-2", ["bce_weight=1"])
    assert "not finite" in wild["error"]
    assert [row["error"] for row in (steep, plain)] == [None, None]
    lines = map(json.loads, Path("runs/alone/metrics.jsonl").read_text().splitlines())
    found = {line["epoch"]: line["val_mask_ap"] for line in lines if "val_mask_ap" in line}
    assert steep["val_mask_ap"] == max(found.values()) == found[steep["epoch"]]
    capsys.readouterr()
    assert main(["sweep", *heads[:2], *SMALL, "--resume"]) == 0
    told = capsys.readouterr()
    assert "steep" in told.out
    assert f"{steep['val_mask_ap']:.3f}" in told.out
    assert f"{steep['parameters'] / 1e6:.2f} M" in told.out


def test_a_sweep_is_described_in_mfd_toml(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "mfd.toml").read_text()
    table = '\n[sweep]\nheads = ["one:paper,seed=1", "two:paper,seed=2"]\nset = ["epochs=1"]\n'
    (project / "mfd.toml").write_text(before + table)
    try:
        small = [s for s in SMALL if "epochs" not in s]
        command = ["sweep", *small, "--set=epochs=1", "--val", "none"]
        assert main(command) == 0
    finally:
        (project / "mfd.toml").write_text(before)
    said = capsys.readouterr().err
    assert "read alone: one" in said
    assert "read alone: two" in said
    for name in ("one", "two"):
        assert json.loads(Path(f"runs/{name}/config.json").read_text())["train"]["epochs"] == 1


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        (
            [],
            "there are no heads to train; give some, such as `mfd sweep paper fast:paper,lr=3e-4`",
        ),
        (["a:paper", "a:lr=1"], "two heads are called 'a'; give each a name of its own"),
        (["first:lr=1"], "first already holds a run; resume it by --resume, or choose another"),
        (["a:lr=1", "b:lrr=1"], "b: there is no setting 'lrr'; did you mean 'lr'?"),
        (["b:nopreset"], "b: no preset is called 'nopreset'"),
        (["a/b:lr=1"], "takes a name of letters, digits and '-', found 'a/b'"),
        (["a:augment=flip"], "a: augment=flip needs the detector in the loop"),
        (
            ["a:paper", "b:class_agnostic=true"],
            "class_agnostic is False for a, True for b; heads of one sweep share stores",
        ),
        (["a:patience=2"], "a: patience is 2, but there is nothing to validate on"),
    ],
)
def test_heads_that_cannot_be_are_refused_before_any_begins(
    project: Path, heads: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path("runs").iterdir())
    assert main(["sweep", *heads, "--val", "none", *SMALL]) == 1
    assert said in capsys.readouterr().err
    assert sorted(Path("runs").iterdir()) == before
