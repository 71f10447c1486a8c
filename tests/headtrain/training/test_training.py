"""A training that cannot be is refused before anything of its run is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from mfd.cache import Store
from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training.train import train
from tests.builders.runs import HEAD, TRAIN, make_dataset, make_run, make_store


def begin(material: tuple[Store, Targets], folder: Path, head: HeadConfig) -> None:
    train(head, TRAIN, StoredSource(*material, head, TRAIN), Run(folder))


def test_a_head_without_training_is_refused(tmp_path: Path) -> None:
    free = replace(
        HEAD,
        roi_align=False,
        box_layers=0,
        mask_scoring=False,
        query_ffn=False,
        query_b2o=False,
    )
    with pytest.raises(ConfigError, match="has no trainable parameters; run `mfd evaluate`"):
        begin(make_run(tmp_path), tmp_path / "run", free)


@pytest.mark.parametrize("class_agnostic", [True, False])
def test_a_head_for_categories_that_the_annotations_lack_or_have_is_refused(
    class_agnostic: bool, tmp_path: Path
) -> None:
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    dataset = dataset if class_agnostic else dataset.without_categories()
    targets = build_targets(store, dataset, tmp_path)
    head = replace(HEAD, class_agnostic=class_agnostic)
    found = "with" if class_agnostic else "without"
    with pytest.raises(ConfigError, match=f"annotations are {found} categories"):
        begin((store, targets), tmp_path / "run", head)
    assert not (tmp_path / "run").exists()
