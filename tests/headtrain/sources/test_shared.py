"""Several heads' batches from one reading are those that each source gives by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mfd.cache import Store
from mfd.detectors import PendingC1
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.lite import LiteStore
from mfd.headtrain.sources.shared import SharedReading
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.sources.view import StoredView
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_run, make_store
from tests.headtrain.sources.test_lite import Stage1, write_images

PLAIN = (replace(HEAD, use_c1=False, neck=False), replace(TRAIN, lr=0.1))
LARGE = (replace(HEAD, roi_size=16, frame_margin=0.2), replace(TRAIN, box_jitter=0.2, epochs=1))
MORE = (HEAD, replace(TRAIN, extra_queries=2, ground_truth_boxes=True, readers=3))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Targets]:
    return make_run(tmp_path_factory.mktemp("stores"))


def tensors(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of a batch, with the names of their places."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from tensors(each, f"{path}[{place}]")
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors(getattr(value, field.name), f"{path}.{field.name}")


def assert_same(found: TrainingBatch | None, alone: TrainingBatch | None) -> None:
    assert found is not None
    assert alone is not None
    assert found.image_names == alone.image_names
    ours, theirs = dict(tensors(found)), dict(tensors(alone.to("cpu")))
    if alone.features.c1 is None and alone.features.pending_c1 is None:
        for name in (".features.c1", ".features.c1_hw"):  # which its head does not look at
            ours.pop(name, None), theirs.pop(name, None)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_batches_of_several_heads_are_those_of_each_alone(
    material: tuple[Store, Targets], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [StoredSource(*material, *recipe) for recipe in (PLAIN, LARGE, MORE)]
    alone = [list(source.batches(2, 4)) for source in sources]
    read = []
    features = StoredView.features
    monkeypatch.setattr(
        StoredView, "features", lambda self, at: read.append(at) or features(self, at)
    )
    reading = SharedReading(sources, "cpu")
    together = zip(*(reading.batches(n)(2, 4) for n in range(3)), strict=True)
    for step, batches in enumerate(together):
        for found, of_one in zip(batches, alone, strict=True):
            assert_same(found, of_one[step])
        (paid, *free) = [batch.bytes_read for batch in batches if batch is not None]
        expected = alone[1][step]
        assert expected is not None
        assert (paid, free) == (expected.bytes_read, [0, 0])
    reading.close()
    ahead = TRAIN.prefetch + 1  # of which some are read, and not taken
    assert len(read) <= (2 + ahead) * TRAIN.batch_size
    assert len(read) >= len({name for batch in alone[0] for name in batch.image_names})


def test_any_order_of_taking_gives_the_same_batches(material: tuple[Store, Targets]) -> None:
    sources = [StoredSource(*material, *recipe) for recipe in (MORE, LARGE)]
    reading = SharedReading(sources, "cpu")
    ahead, behind = reading.batches(0)(3, 7), reading.batches(1)(1, 4)
    first = [next(ahead), next(ahead), next(behind), next(ahead), *behind, *ahead]
    steps = [(0, 3), (0, 4), (1, 1), (0, 5), (1, 2), (1, 3), (0, 6)]
    for found, (number, step) in zip(first, steps, strict=True):
        (alone,) = sources[number].batches(step, step + 1)
        assert_same(found, alone)


def test_stage_one_of_a_lite_store_runs_once_for_all_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write_images(tmp_path / "images")
    store = make_store(tmp_path, 5, SPEC, profile="lite", images=images)
    dataset = make_dataset(tmp_path, store)
    targets = build_targets(store, dataset, tmp_path)
    lite = LiteStore(store, Stage1(), dataset)
    config = replace(TRAIN, batch_size=2, epochs=1)
    heads: Sequence[Any] = ((PLAIN[0], config), (HEAD, config), (LARGE[0], config))
    sources = [StoredSource(lite, targets, *recipe) for recipe in heads]
    alone = [list(source.batches(0, 2)) for source in sources]
    computed = []
    compute = PendingC1.compute
    monkeypatch.setattr(PendingC1, "compute", lambda self: computed.append(1) or compute(self))
    reading = SharedReading(sources, "cpu")
    together = list(zip(*(reading.batches(n)(0, 2) for n in range(3)), strict=True))
    assert len(computed) == 2
    for step, batches in enumerate(together):
        for found, of_one in zip(batches, alone, strict=True):
            assert_same(found, of_one[step])


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({"lr": 0.5, "dice_weight": 1.0, "epochs": 9, "box_jitter": 0.3, "micro_batch": 1}, True),
        ({"seed": 1}, False),
        ({"batch_size": 2}, False),
        ({"min_pair_iou": 0.3}, False),
    ],
)
def test_sources_read_alike_while_their_images_are_the_same_at_every_step(
    material: tuple[Store, Targets], change: dict[str, Any], alike: bool
) -> None:
    first = StoredSource(*material, HEAD, TRAIN)
    other = StoredSource(*material, PLAIN[0], replace(TRAIN, **change))
    assert first.reads_like(other) == other.reads_like(first) == alike
