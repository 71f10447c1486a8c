"""`mfd cache` as a user types it."""

import json
from pathlib import Path

import pytest

from mfd.cli import main
from tests.builders.project import SMALL, stored


def test_the_cache_is_listed_verified_and_repaired(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "ls"]) == 0
    assert "stores: 2" in capsys.readouterr().out
    store = stored(project, "train")
    assert main(["cache", "info", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 18
    assert main(["cache", "verify", str(store)]) == 0

    shard = next(file for file in (store / "enc/tokens").iterdir() if file.name.startswith("c"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    assert main(["cache", "verify", str(store)]) == 1
    assert main(["cache", "verify", str(store), "--repair"]) == 0
    assert main(["train-head", "--run", "refused", *SMALL]) == 1
    assert "unfinished" in capsys.readouterr().err
    assert main(["extract", "--split", "train"]) == 0
    assert main(["cache", "verify", str(store)]) == 0
    assert main(["cache", "gc"]) == 0

    (store / "enc/zarr.json").unlink()
    assert main(["cache", "verify", str(store), "--repair"]) == 0
    assert "no features lost" in capsys.readouterr().err
    assert main(["extract", "--split", "train"]) == 0
    assert main(["cache", "verify", str(store)]) == 0


def test_a_store_is_known_by_its_name_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--split", "val", "--dtype", "float32"]) == 0
    (store,) = (project / "stores").glob("tiny-val-*-float32-*")
    assert main(["cache", "info", store.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float32"
    elsewhere = str(project / "elsewhere")
    assert main(["cache", "rm", store.name, "--stores", elsewhere]) == 1
    assert "there is no store" in capsys.readouterr().err
    assert main(["cache", "rm", store.name]) == 0
    assert f"removed stores/{store.name}" in capsys.readouterr().err
    assert not store.exists()


def test_a_store_that_a_run_needs_is_not_removed_by_mistake(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "rm", str(stored(project, "train"))]) == 1
    assert "first" in capsys.readouterr().err
    assert stored(project, "train").is_dir()
