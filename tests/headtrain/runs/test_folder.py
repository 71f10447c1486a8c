import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfd.errors import TrainingError
from mfd.headtrain.runs.folder import begin_run, describe, is_finished, write_cost
from mfd.headtrain.training.checkpoint import Position
from tests.headtrain.material import HEAD, TRAIN, make_run


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_run(tmp_path_factory.mktemp("stores"), 3)


def test_a_run_says_what_it_is_made_from(material: Any, tmp_path: Path) -> None:
    store, targets = material
    begin_run(tmp_path / "run", describe(HEAD, TRAIN, store, targets), resume=False)
    content = json.loads((tmp_path / "run/config.json").read_text())
    assert content["features"]["sha256"] == store.identity.sha256
    assert content["targets"]["crop_size"] == 32
    assert content["categories"]["90"] == "kind 90"
    assert not is_finished(tmp_path / "run")


def test_settings_that_change_no_weight_may_change_on_resume(material: Any, tmp_path: Path) -> None:
    begin_run(tmp_path, describe(HEAD, TRAIN, *material), resume=False)
    other = replace(TRAIN, log_every=7, readers=5)
    begin_run(tmp_path, describe(HEAD, other, *material), resume=True)
    with pytest.raises(TrainingError, match=r"train\.seed is 0, expected 1"):
        begin_run(tmp_path, describe(HEAD, replace(TRAIN, seed=1), *material), resume=True)


def test_a_run_on_other_features_is_not_resumed(material: Any, tmp_path: Path) -> None:
    begin_run(tmp_path, describe(HEAD, TRAIN, *material), resume=False)
    (tmp_path / "other").mkdir()
    others = make_run(tmp_path / "other", 4)
    with pytest.raises(TrainingError, match="features is"):
        begin_run(tmp_path, describe(HEAD, TRAIN, *others), resume=True)


def test_the_ledger_names_seconds_and_bytes_of_every_stage(material: Any, tmp_path: Path) -> None:
    store, targets = material
    write_cost(tmp_path, Position(step=4, images=9, seconds=1.23456, bytes_read=77), store, targets)
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["training"] == {"seconds": 1.235, "bytes": 77, "images": 9, "steps": 4}
    assert cost["targets"]["bytes"] == targets.num_bytes > 0
    assert cost["extraction"]["bytes"] == store.info().num_bytes
    assert cost["extraction"]["seconds"] == store.info().seconds
