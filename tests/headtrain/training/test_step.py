from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mfd.errors import TrainingError
from mfd.headtrain.config.train import PointSampling
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.losses import box_losses
from mfd.headtrain.training.step import StepResult, StepWindow, train_step
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch

pytestmark = pytest.mark.usefixtures("one_thread")


def test_steps_on_one_batch_lower_its_loss() -> None:
    batch, head = make_batch(), MaskHead(HEAD, SPEC).train()
    batch.crops[:] = 0
    batch.crops[:, 8:24, :20] = 255
    optimizer = torch.optim.AdamW(head.parameters())
    config = replace(TRAIN, lr=1e-2)
    losses = [
        train_step(head, optimizer, batch, config, step, 999, None).values[0] for step in range(30)
    ]
    assert torch.stack(losses[-5:]).mean() < 0.8 * torch.stack(losses[:5]).mean()


def test_parts_of_a_batch_add_up_to_its_losses_and_gradients() -> None:
    """Sizes differ between images, and one image has no box."""
    batch = make_batch((2, 0, 3, 1))
    batch.features.memory_hw[1] = torch.tensor([[4, 6], [2, 3]])
    head = MaskHead(replace(HEAD, sampled_points=False), SPEC).train()
    found = []
    for images in (0, 4, 1, 3):
        optimizer = torch.optim.SGD(head.parameters(), lr=0.0)
        config = replace(TRAIN, lr=0.0, micro_batch=images)
        result = train_step(head, optimizer, batch, config, 0, 9, None)
        found.append((result.values, [p.grad.clone() for p in head.parameters()]))  # type: ignore[union-attr]
    for values, gradients in found[1:]:
        assert torch.allclose(values, found[0][0], rtol=1e-5)
        for ours, whole in zip(gradients, found[0][1], strict=True):
            assert torch.allclose(ours, whole, rtol=1e-4, atol=1e-6)


def test_reduced_precision_trains_too() -> None:
    batch, head = make_batch(), MaskHead(HEAD, SPEC).train()
    optimizer = torch.optim.AdamW(head.parameters())
    exact = train_step(head, optimizer, batch, replace(TRAIN, lr=0.0), 0, 9, None)
    rounded = train_step(head, optimizer, batch, replace(TRAIN, lr=0.0), 0, 9, torch.bfloat16)
    assert torch.allclose(exact.values[:4], rounded.values[:4], rtol=0.05, atol=0.02)


def test_a_batch_without_boxes_changes_no_weight_by_its_gradient() -> None:
    head = MaskHead(HEAD, SPEC).train()
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    before = [p.clone() for p in head.parameters()]
    result = train_step(head, optimizer, make_batch((0, 0)), TRAIN, 0, 9, None)
    assert result.values[0] == 0
    assert all(torch.equal(a, b) for a, b in zip(before, head.parameters(), strict=True))


def test_points_are_drawn_by_box_whatever_the_parts_of_the_batch() -> None:
    batch, found = make_batch(), []
    head = MaskHead(HEAD, SPEC).train()
    for images, keys in ((0, batch.keys), (1, batch.keys), (2, batch.keys), (0, batch.keys + 1)):
        config = replace(TRAIN, lr=0.0, micro_batch=images)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.0)
        drawn = replace(batch, keys=keys)
        found.append(train_step(head, optimizer, drawn, config, 0, 9, None).values[:4])
    assert torch.allclose(found[1], found[0], rtol=1e-5)
    assert torch.allclose(found[2], found[0], rtol=1e-5)
    assert not torch.allclose(found[3], found[0], rtol=1e-3)


@pytest.mark.parametrize("sampling", [PointSampling(0.5, 2.0, 0.25), None])
def test_points_are_sampled_by_the_numbers_of_the_recipe(sampling: PointSampling | None) -> None:
    config = replace(TRAIN, point_share=0.5, point_oversample=2.0, point_importance=0.25)
    head = MaskHead(replace(HEAD, sampled_points=sampling is not None), SPEC).train()
    batch = make_batch()
    found, features = head(batch.features), batch.features
    losses = box_losses(
        found.mask_logits, found.iou, features.labels, batch.crops, batch.area_ratio, batch.keys,
        sampling,
    )  # fmt: skip
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    _, bce, dice, *_ = train_step(head, optimizer, batch, config, 0, 9, None).values
    assert torch.allclose(torch.stack((bce, dice)), torch.stack((losses.bce, losses.dice)).mean(1))


class NothingSentOrRead(TorchDispatchMode):
    """Refuses what would make the program wait for the device of all tensors, `meta`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        assert all(t.is_meta for t in tensors), f"{func} takes a tensor from the host"
        return func(*args, **(kwargs or {}))  # reading a value of `meta` raises


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"query_o2o": True, "mask_head": "segmenter"},
        {"image_encoder": "convnext", "box_encoder": "swin"},
    ],
    ids=str,
)
def test_a_step_waits_for_no_device(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    head = MaskHead(replace(HEAD, **fields), SPEC).train().to("meta")
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    batch, window = make_batch().to("meta"), StepWindow(3, torch.device("meta"))
    monkeypatch.delattr(torch, "tensor")  # it sends numbers, and no dispatch mode sees it
    with NothingSentOrRead():
        window.add(1, batch, train_step(head, optimizer, batch, TRAIN, 0, 9, None))


def result(loss: float, bad_boxes: tuple[int, ...] = ()) -> StepResult:
    bad = torch.zeros(5, dtype=torch.bool)
    bad[list(bad_boxes)] = True
    return StepResult(torch.full((5,), loss), bad)


def test_a_window_gives_the_means_of_its_steps() -> None:
    window = StepWindow(3, torch.device("cpu"))
    for step, loss in ((1, 1.0), (2, 3.0)):
        window.add(step, make_batch(), result(loss))
    assert window.close()["loss"] == 2.0
    window.add(3, make_batch(), result(5.0))
    assert window.close()["loss"] == 5.0


def test_the_first_bad_step_is_named_with_the_image_to_blame() -> None:
    window = StepWindow(3, torch.device("cpu"))
    window.add(7, make_batch(), result(1.0))
    window.add(8, make_batch(), result(float("inf"), bad_boxes=(3, 4)))
    window.add(9, make_batch(), result(float("nan"), bad_boxes=(0, 1, 2, 3, 4)))
    with pytest.raises(TrainingError, match=r"step 8, image 2 \(2.jpg\);"):
        window.close()


def test_all_images_are_named_where_none_can_be_singled_out() -> None:
    window = StepWindow(3, torch.device("cpu"))
    window.add(1, make_batch(), result(float("nan")))
    with pytest.raises(TrainingError, match=r"image 0 \(0.jpg\), 1 \(1.jpg\), 2 \(2.jpg\);"):
        window.close()
