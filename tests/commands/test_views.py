"""Views and shares of the masks, from extraction to a resumed run."""

import json
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL


def test_views_are_extracted_priced_and_listed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--split", "val", "--stores", "views"]
    assert main(["extract", *own]) == 0
    assert main(["extract", *own, "--view", "lsj:07"]) == 0
    assert main(["extract", *own, "--view", "lsj:7"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err
    assert main(["cache", "ls", "--stores", "views"]) == 0
    listed = capsys.readouterr().out
    assert [view in listed for view in ("-base-", "-lsj-7-", "-lsj-07-")] == [True, True, False]
    assert main(["estimate", "--split", "val", "--no-measure"]) == 0
    assert main(["estimate", "--split", "val", "--no-measure", "--view", "lsj:7"]) == 0
    base, priced = capsys.readouterr().out.splitlines()
    assert base != priced
    assert main(["evaluate", "first", *own, "--json"]) == 0  # of the base view
    assert "the view" not in str(json.loads(capsys.readouterr().out)["notes"])


def test_views_are_trained_on_together_and_resumed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--view", "lsj:1", "--stores", "many"]) == 0
    assert main(["extract", "--stores", "many"]) == 0
    command = ["train-head", "--views", "base, lsj:01", "--stores", "many", *SMALL]
    assert main([*command, "--run", "views"]) == 0
    said = capsys.readouterr().err
    assert "store: many/tiny-train-base-full" in said
    assert "store: many/tiny-train-lsj-1-full" in said

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main([*command, "--run", "views-cut"]) == 130
    assert main(["train-head", "--resume", "--views", "base", "--stores", "many"]) == 1
    assert "source.others" in capsys.readouterr().err
    assert main(["train-head", "--resume", "--stores", "many"]) == 0
    weights = [Path(f"runs/views{n}/head.safetensors").read_bytes() for n in ("", "-cut")]
    assert weights[0] == weights[1]
    base = Path("runs/first/head.safetensors").read_bytes()
    assert weights[0] != base


@pytest.mark.parametrize("live", [False, True])
def test_masks_of_a_share_of_the_images_are_trained_on_and_the_run_remembers_which(
    live: bool,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["train-head", "--mask-fraction", "0.3", *SMALL, *(["--live"] if live else [])]
    name = "live-share" if live else "share"
    assert main([*command, "--run", name]) == 0
    said = capsys.readouterr().err
    images = json.loads(Path(f"runs/{name}/cost.json").read_text())["training"]["images"]
    count = json.loads(Path(f"runs/{name}/config.json").read_text())["source"]["masks"]["count"]
    assert f"masks: of {count} of 18 images" in said
    assert 0 < images <= 2 * count < 2 * 18 * 0.4

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main([*command, "--run", f"{name}-cut"]) == 130
    assert main(["train-head", "--resume"]) == 0
    weights = [Path(f"runs/{name}{n}/head.safetensors").read_bytes() for n in ("", "-cut")]
    assert weights[0] == weights[1]
