"""An extraction from images to a finished store, interrupted and disturbed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from mfd.cache import Store, StoreInfo, StoreWriter
from mfd.coco import CocoDataset
from mfd.detectors import detect
from mfd.errors import ConfigError, DetectorError, StoreError
from mfd.extract import ExtractConfig, extract
from mfd.extract.features import WINDOW
from mfd.images import load_image, load_view, prepare_image
from tests.builders.tiny import make_dataset

TRIALS = 2  # passes of one image before the first batch, which must agree


@pytest.mark.parametrize("profile", ["full", "lite"])
def test_the_store_holds_the_detectors_own_outputs(
    profile: str, detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    lines: list[str] = []
    with open_writer(detector, dataset, profile=profile, dtype="float32") as writer:
        done = extract(detector, dataset, writer, ExtractConfig(batch_size=1), lines.append)
    assert done.images == 37
    assert [line.split()[-2:] for line in lines] == [
        ["sha256", done.weights_digest],
        [f"{done.weights_digest},", "unchanged"],
    ]
    store = Store.open(done.path)
    assert store.image_ids == tuple(entry.image_id for entry in dataset.images)
    for position, entry in enumerate(dataset.images):
        image = load_image(dataset.path(entry), detector.spec.preprocessing)
        (expected,) = detect(detector, [image], [entry.image_id])
        found = store[position]
        assert (found.original_hw, found.input_hw) == (entry.size_hw, image.input_hw)
        for name in ("queries", "boxes", "logits"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name
        for level, wanted in zip(found.memory, expected.memory, strict=True):
            assert torch.equal(level, wanted)
        if profile == "full":
            assert torch.equal(found.c1, expected.c1)
        else:
            assert found.c1 is None


def test_the_view_flip_holds_the_detectors_outputs_for_the_mirrored_images(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    with open_writer(detector, dataset, view="flip", dtype="float32") as writer:
        done = extract(detector, dataset, writer, ExtractConfig(batch_size=1, view="flip"))
    store = Store.open(done.path)
    for position, entry in enumerate(dataset.images):
        mirrored = ImageOps.mirror(Image.open(dataset.path(entry)))
        (expected,) = detect(
            detector, [prepare_image(mirrored, detector.spec.preprocessing)], [entry.image_id]
        )
        assert torch.equal(store[position].queries, expected.queries)
        assert torch.equal(store[position].memory[0], expected.memory[0])


@pytest.mark.parametrize("view", ["ms:4", "lsj:4"])
def test_a_random_view_is_the_same_after_a_stop_and_in_other_batches(
    view: str, detector: Any, open_writer: Callable[..., StoreWriter], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "more", WINDOW + 11)

    def interrupt(detector: Any, output: Any) -> None:
        raise KeyboardInterrupt

    config = ExtractConfig(batch_size=1, view=view)
    disturbed = Disturbed(detector, TRIALS + WINDOW + 3, interrupt).eval()
    with (
        open_writer(detector, dataset, view=view, dtype="float32") as writer,
        pytest.raises(KeyboardInterrupt),
    ):
        extract(disturbed, dataset, writer, config)
    with open_writer(detector, dataset, view=view, dtype="float32") as writer:
        assert 0 < len(writer.todo) < writer.num_units
        store = Store.open(extract(detector, dataset, writer, config).path)
    sizes = set()
    for position, entry in enumerate(dataset.images):
        placement = store.placement(position)
        assert placement is not None
        image = load_view(dataset.path(entry), placement, detector.spec.preprocessing)
        (expected,) = detect(detector, [image], [entry.image_id])
        assert torch.equal(store[position].queries, expected.queries)
        assert store[position].input_hw == placement.input_hw
        sizes.add(placement.input_hw)
    assert len(sizes) > 6  # as many as the images' own


def test_what_is_stored_of_an_image_does_not_depend_on_its_batch(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    stores = []
    for batch_size, name in ((1, "alone"), (7, "together")):
        with open_writer(detector, dataset, split=name, dtype="float32") as writer:
            config = ExtractConfig(batch_size=batch_size)
            stores.append(Store.open(extract(detector, dataset, writer, config).path))
    for one, other in zip(*stores, strict=True):
        for mine, theirs in zip(
            (one.queries, one.boxes, one.logits, one.c1, *one.memory),
            (other.queries, other.boxes, other.logits, other.c1, *other.memory),
            strict=True,
        ):  # the order of the detector's sums is all that differs
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 2)])
def test_units_that_are_extracted_again_get_the_bytes_they_had(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter], gone: Any
) -> None:
    def content(path: Path) -> dict[str, bytes]:
        return {
            str(f.relative_to(path)): f.read_bytes()
            for f in path.rglob("*")
            if f.is_file() and f.name != "cost.json"
        }

    config = ExtractConfig(batch_size=3)
    with open_writer(detector, dataset) as writer:
        path = extract(detector, dataset, writer, config).path
    whole = content(path)
    with open_writer(detector, dataset) as writer:
        writer.revoke([writer.images(unit)[0] for unit in gone])
        for unit in gone:
            (path / f"dec/box/c.{unit}.0.0").write_bytes(b"")
        done = extract(detector, dataset, writer, config)
    assert done.images == sum(len(writer.images(unit)) for unit in gone)
    assert content(path) == whole


class Disturbed(nn.Module):
    """A detector with something happening at its n-th call."""

    def __init__(self, detector: Any, call: int, what: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self.detector, self.spec = detector, detector.spec
        self.call, self.what = call, what

    def forward(self, images: torch.Tensor, padding_mask: torch.Tensor) -> Any:
        output = self.detector(images, padding_mask)
        self.call -= 1
        if self.call == 0:
            self.what(self.detector, output)
        return output


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    detector: Any, open_writer: Callable[..., StoreWriter], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "more", WINDOW + 11)

    def interrupt(detector: Any, output: Any) -> None:
        raise KeyboardInterrupt

    lines: list[str] = []
    config = ExtractConfig(batch_size=4)
    disturbed = Disturbed(detector, TRIALS + 19, interrupt).eval()
    with open_writer(detector, dataset) as writer, pytest.raises(KeyboardInterrupt):
        extract(disturbed, dataset, writer, config, lines.append)
    assert 0 < len(writer.todo) < writer.num_units
    assert "the same command resumes" in lines[-1]
    seconds_before = StoreInfo.read(writer.path).seconds
    with open_writer(detector, dataset) as writer:
        done = extract(detector, dataset, writer, config)
    assert done.images < WINDOW + 11
    store = Store.open(done.path)
    assert len(store) == WINDOW + 11
    seconds = store.info().seconds
    assert seconds is not None
    assert seconds_before is not None
    assert 0 < seconds_before < seconds <= seconds_before + done.seconds + 0.001  # rounded


def test_features_that_are_not_finite_stop_the_run_naming_the_image(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    def spoil(detector: Any, output: Any) -> None:
        output.memory[1][0, 1, 1, 3] = float("nan")

    image_id = dataset.images[2].image_id
    disturbed = Disturbed(detector, TRIALS + 3, spoil).eval()
    with (
        pytest.raises(StoreError, match=f"image {image_id}:"),
        open_writer(detector, dataset) as writer,
    ):
        extract(disturbed, dataset, writer, ExtractConfig(batch_size=1))
    assert list(writer.path.parent.iterdir()) == []


def test_an_error_leaves_finished_units_and_no_store_without_any(
    detector: Any, open_writer: Callable[..., StoreWriter], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "more", WINDOW + 1)

    def attempt(good: int) -> StoreWriter:
        writer = open_writer(detector, dataset)

        def spoil(detector: Any, output: Any) -> None:
            while writer.num_images_done < good:  # units whose writing has not begun are dropped
                time.sleep(0.001)
            output.boxes[0, 0] = float("nan")

        disturbed = Disturbed(detector, TRIALS + good + 1, spoil).eval()
        with pytest.raises(StoreError, match="image"), writer:
            extract(disturbed, dataset, writer, ExtractConfig(batch_size=1))
        return writer

    assert not attempt(good=0).path.exists()
    writer = attempt(good=WINDOW)
    assert writer.path.exists()
    assert len(writer.todo) == 1


def test_values_beyond_float16_stop_the_run_with_the_cure(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    def inflate(detector: Any, output: Any) -> None:
        output.logits[0, 2, 1] = 7e4

    disturbed = Disturbed(detector, TRIALS + 1, inflate).eval()
    with (
        open_writer(detector, dataset) as writer,
        pytest.raises(StoreError, match="--dtype float32"),
    ):
        extract(disturbed, dataset, writer)


def test_weights_that_change_while_they_run_leave_the_store_unfinished(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    def drift(detector: Any, output: Any) -> None:
        detector.boxes.bias.add_(1e-6)

    disturbed = Disturbed(detector, TRIALS + 2, drift).eval()
    with open_writer(detector, dataset) as writer, pytest.raises(DetectorError, match="changed"):
        extract(disturbed, dataset, writer)
    with pytest.raises(StoreError, match="unfinished"):
        Store.open(writer.path)


def test_autocast_of_another_store_is_refused(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    config = ExtractConfig(precision="bfloat16")
    with open_writer(detector, dataset) as writer, pytest.raises(ConfigError, match="'bfloat16'"):
        extract(detector, dataset, writer, config)
    with (
        open_writer(detector, dataset) as writer,
        pytest.raises(ConfigError, match="view is 'flip', the store is for 'base'"),
    ):
        extract(detector, dataset, writer, ExtractConfig(view="flip"))
    with open_writer(detector, dataset, precision="bfloat16") as writer:
        assert len(Store.open(extract(detector, dataset, writer, config).path)) == 37


def test_a_precision_left_open_is_that_of_the_store(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    autocast: list[bool] = []

    def watch(detector: Any, output: Any) -> None:
        autocast.append(torch.is_autocast_enabled("cpu"))

    for precision in ("float32", "bfloat16"):
        watched = Disturbed(detector, 1, watch).eval()
        with open_writer(detector, dataset, precision=precision) as writer:
            store = Store.open(extract(watched, dataset, writer).path)
        assert store.identity.precision == precision
        assert autocast.pop() == (precision == "bfloat16")


@pytest.mark.parametrize("field", ["batch_size", "workers"])
def test_nonsensical_settings_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be 1 or more"):
        ExtractConfig(**{field: 0})


def test_a_detector_that_is_random_is_refused_before_anything_is_stored(
    detector: Any, dataset: CocoDataset, open_writer: Callable[..., StoreWriter]
) -> None:
    forward = detector.forward
    detector.forward = lambda images, mask: forward(torch.dropout(images, 0.5, True), mask)
    first = dataset.path(dataset.images[0])
    first.write_bytes(first.read_bytes()[:50])  # is skipped in favour of the next
    with (
        pytest.raises(DetectorError, match="when it saw the same image again"),
        open_writer(detector, dataset) as writer,
    ):
        extract(detector, dataset, writer)
    assert not writer.path.exists()
