"""Recorded passes give what passes taken one by one give; a tape stands for CUDA graphs."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mfd.errors import ConfigError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.sampler import epoch_batches
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.training import checks, loop
from mfd.headtrain.training import passes as passes_module
from mfd.headtrain.training import recorded as module
from mfd.headtrain.training.passes import losses_of, record_passes, require_recordable
from mfd.headtrain.training.recorded import RecordedPasses
from mfd.headtrain.training.rounded import RoundedBatches, rounded_count, rounded_side
from mfd.headtrain.training.step import train_step
from mfd.headtrain.training.train import train
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch, make_run
from tests.builders.tape import TapeRecorder
from tests.headtrain.training.test_step import NothingSentOrRead

pytestmark = pytest.mark.usefixtures("one_thread")
EXACT = torch.float64


class Poisoned(RoundedBatches):
    """Memory is not clean: NaN beyond what a batch fills."""

    def put(self, batch: TrainingBatch) -> TrainingBatch:
        for place in self._memory.values():
            if place.is_floating_point():
                place.fill_(torch.nan)
        return super().put(batch)

    def _place(self, name: str, shape: Sequence[int], like: Tensor, spare: int = 0) -> Tensor:
        known = self._memory.get(name)
        place = super()._place(name, shape, like, spare)
        if self._memory[name] is not known and like.is_floating_point():
            self._memory[name].fill_(torch.nan)
        return place


def passes_of(head: MaskHead) -> RecordedPasses:
    rounded = Poisoned(SPEC.strides, SPEC.c1_stride)
    return RecordedPasses(lambda b: losses_of(head, b, TRAIN, None), rounded, TapeRecorder())


def batch_of(boxes: tuple[int, ...], columns: int = 7) -> TrainingBatch:
    """Of images with so many boxes and so wide a finest map, of which the first image has less."""
    batch = make_batch(boxes)
    features = batch.features
    features.memory[0] = features.memory[0][:, :, :columns]
    features.memory_hw[:, 0, 1] = columns
    features.memory_hw[0, 0] = torch.tensor([3, 5])
    features.c1_hw[0] = torch.tensor([11, 20])
    return batch.to("cpu", EXACT)


def twins(**fields: Any) -> tuple[MaskHead, MaskHead]:
    """Two equal heads, whose points lie nowhere near pixel centres, where gradients jump."""
    head, copy = (MaskHead(replace(HEAD, **fields), SPEC).to(EXACT).train() for _ in range(2))
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if "sampling_offsets" in name:
                parameter.add_(torch.rand_like(parameter), alpha=0.3)
    copy.load_state_dict(head.state_dict())
    return head, copy


def steps(
    head: MaskHead, batches: Sequence[TrainingBatch], config: Any, passes: RecordedPasses | None
) -> list[tuple[Tensor, ...]]:
    """Values, bad boxes and gradients of every step; weights change from step to step."""
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-3)
    found = []
    for step, batch in enumerate(batches):
        result = train_step(head, optimizer, batch, config, step, 9, None, passes)
        gradients = [p.grad.clone() for p in head.parameters() if p.grad is not None]
        found.append((result.values, result.bad_boxes, *gradients))
    return found


@pytest.mark.parametrize("images", [0, 1], ids=lambda images: f"micro_batch {images}")
@pytest.mark.parametrize(
    "fields",
    [
        {"query_o2o": True, "sampled_points": False},
        {"mask_head": "segmenter", "class_agnostic": True},
        {"image_encoder": "convnext", "box_encoder": "swin"},
        {"image_layers": 0, "use_c1": False, "neck": False, "frame_margin": 0.1},
    ],
    ids=str,
)
def test_recorded_steps_have_the_losses_and_gradients_of_others(
    fields: dict[str, Any], images: int
) -> None:
    """Batches of 9 boxes and 10, maps of 6 columns and 7, are one shape."""
    torch.manual_seed(0)
    config = replace(TRAIN, micro_batch=images)
    head, copy = twins(**fields)
    batches = [
        batch_of((4, 1, 4)),
        batch_of((4, 4, 2), 6),
        batch_of((5, 1, 3)),
        batch_of((6, 2, 2)),
    ]
    passes = passes_of(copy)
    expected = steps(head, batches, config, None)
    found = steps(copy, batches, config, passes)
    assert passes.recorded == (3 if images else 1)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_larger_batches_move_the_memory_and_are_recorded_anew() -> None:
    torch.manual_seed(0)
    head, copy = twins()
    small, large = batch_of((1, 1)), batch_of((4, 4, 4))
    batches = [small, small, small, large, small, small, large, large]
    passes, expected = passes_of(copy), steps(head, batches, TRAIN, None)
    for ours, theirs in zip(steps(copy, batches, TRAIN, passes), expected, strict=True):
        torch.testing.assert_close(ours[0], theirs[0])
    assert passes.recorded == 3


def test_only_the_latest_shapes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDED", 2)
    head, _ = twins(image_layers=0)
    passes = passes_of(head)
    three, two, one = (batch_of(boxes) for boxes in ((1, 1, 1), (1, 1), (1,)))
    steps(head, [three, two, one, three, two, one], TRAIN, passes)
    assert passes.recorded == 0  # each has been forgotten when it comes again
    steps(head, [one], TRAIN, passes)
    assert passes.recorded == 1


def test_a_recorded_step_waits_for_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    head = MaskHead(HEAD, SPEC).train().to("meta")
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    rounded = RoundedBatches(SPEC.strides, SPEC.c1_stride)
    passes = RecordedPasses(lambda b: losses_of(head, b, TRAIN, None), rounded, TapeRecorder())
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    batch = make_batch().to("meta")
    monkeypatch.delattr(torch, "tensor")
    with NothingSentOrRead():
        train_step(head, optimizer, batch, TRAIN, 0, 9, None, passes)


def test_training_with_graphs_ends_where_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch of an epoch is smaller, weights are averaged, a checkpoint is written."""
    store, targets = make_run(tmp_path)
    head = replace(HEAD, image_encoder="convnext", box_encoder="convnext")
    config = replace(TRAIN, ema_decay=0.5)
    source = StoredSource(store, targets, head, config)
    train(head, config, source, Run(tmp_path / "plain"))
    monkeypatch.setattr(checks, "require_recordable", lambda *_: None)
    monkeypatch.setattr(passes_module, "CudaGraphs", lambda _: TapeRecorder())
    recordings: list[RecordedPasses] = []
    record = passes_module.record_passes
    monkeypatch.setattr(
        loop, "record_passes", lambda *a: recordings.append(record(*a)) or recordings[-1]
    )
    train(head, replace(config, graphs=True), source, Run(tmp_path / "recorded"))
    assert recordings[0].recorded > 0
    plain, recorded = (
        Run(tmp_path / name).load_head().state_dict() for name in ("plain", "recorded")
    )
    torch.testing.assert_close(recorded, plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "recipe", "device", "named"),
    [
        ({}, {}, "cpu", "on cpu; leave graphs out"),
        ({"image_encoder": "swin"}, {}, "cuda", "those of image_encoder=swin differ"),
        ({"sampling_ratio": 0}, {}, "cuda", "those of sampling_ratio=0 differ"),
        ({}, {"finetune": "all"}, "cuda", "those of finetune=all differ"),
    ],
)
def test_graphs_are_refused_where_they_cannot_be_recorded(
    head: dict[str, Any], recipe: dict[str, Any], device: str, named: str
) -> None:
    config = replace(TRAIN, graphs=True, **recipe)
    with pytest.raises(ConfigError, match=named):
        require_recordable(replace(HEAD, **head), config, torch.device(device))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records CUDA graphs: needs a GPU")
def test_cuda_graphs_have_the_losses_and_gradients_of_launches() -> None:
    torch.manual_seed(0)
    head, copy = (each.float().cuda() for each in twins(query_o2o=True))
    batches = [batch_of(boxes).to("cuda") for boxes in ((4, 1, 4), (4, 4, 2), (5, 1, 4), (1,))]
    passes = record_passes(copy, TRAIN, None)
    expected = steps(head, batches * 3, TRAIN, None)
    for ours, theirs in zip(steps(copy, batches * 3, TRAIN, passes), expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert passes.recorded == 2


def test_shapes_of_an_epoch_of_coco_are_few_and_hardly_larger_than_its_batches() -> None:
    """Sides of 800 and up to 1333 pixels, batches of 8 images of similar shape, 7.3 boxes each."""
    random = np.random.default_rng(0)
    ratios = random.choice([640 / 480, 640 / 427, 640 / 640, 500 / 375, 640 / 360], 20_000)
    ratios = ratios * random.uniform(0.98, 1.02, len(ratios))
    upright = random.random(len(ratios)) < 0.3
    long = np.minimum(800 * ratios, 1333)
    sizes = np.stack([np.minimum(800, 1333 / ratios), long], 1).astype(int)
    sizes[upright] = sizes[upright, ::-1]
    boxes = random.geometric(1 / 7.3, len(sizes))
    shapes, exact, padded, given, counted = set(), 0, 0, 0, 0
    for members in epoch_batches(range(len(sizes)), sizes, 8, 0, 0):
        sides = -(-sizes[members].max(0) // 8)
        larger = tuple(rounded_side(int(side), 8) for side in sides)
        count = int(boxes[members].sum())
        shapes.add((*larger, rounded_count(count)))
        exact, padded = exact + sides.prod(), padded + larger[0] * larger[1]
        given, counted = given + count, counted + rounded_count(count)
    assert len(shapes) <= module.MAX_RECORDED
    assert padded < 1.06 * exact
    assert counted < 1.1 * given


@pytest.mark.parametrize("stride", [4, 8, 16, 32, 64, 128])
def test_maps_of_all_strides_are_rounded_alike(stride: int) -> None:
    for side in (1, 63, 64, 65, 427, 800, 1333):
        rounded = rounded_side(-(-side // stride), stride) * stride
        assert rounded == -(-side // max(64, stride)) * max(64, stride)


def test_rounded_numbers_are_a_quarter_larger_at_most() -> None:
    found = {count: rounded_count(count) for count in range(1, 2000)}
    assert all(count <= larger < count * 5 / 4 for count, larger in found.items())
    assert [found[count] for count in (1, 7, 8, 9, 16, 17, 56, 57)] == [1, 7, 8, 10, 16, 20, 56, 64]
