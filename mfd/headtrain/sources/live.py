"""Training batches from the detector at work; images are decoded ahead, nothing is stored."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mfd.coco import CocoDataset, ImageEntry
from mfd.config import DetectorChoice, Precision
from mfd.detectors import Detector, ImageFeatures, detect_all, device_of, stays_frozen
from mfd.errors import DataError, TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.precision import autocast_dtype
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.sources.assemble import assemble
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.sampler import epoch_batches
from mfd.headtrain.sources.stopwatch import Stopwatch
from mfd.headtrain.targets.fresh import fresh_targets
from mfd.headtrain.targets.match import CLASS_COST, GIOU_COST, L1_COST
from mfd.headtrain.targets.objects import usable_objects
from mfd.headtrain.targets.view_map import ViewMap
from mfd.images import LoadedImage, input_size, load_image
from mfd.prefetch import prefetch


class _Decoded(NamedTuple):
    """A batch when its files have been read."""

    entries: tuple[ImageEntry, ...]
    images: list[LoadedImage]


class _Detected(NamedTuple):
    """A batch when the detector has been started on it."""

    entries: tuple[ImageEntry, ...]
    features: Sequence[ImageFeatures]
    stopwatch: Stopwatch


class LiveSource:
    """A `BatchSource` that runs the frozen detector on every batch.

    Batches have the images, in the order, that a `StoredSource` of the same data gives them. Three
    things happen at once: threads decode, the device runs the detector and the head, and a thread
    matches the batch after the current one.

    Attributes:
        spec: of the detector.
        detector: how it is loaded again.
        categories: name of each category id of the annotations.

    Args:
        detector: frozen, on the device where the head is trained.
        choice: how it was loaded.
        dataset: images whose file is absent are left out, and so are those without an object that
            the head could learn from.
        head: decides what is kept of the detector's output.
        config: batch size, seed, precision, threads that decode and batches decoded ahead.

    Raises:
        DataError: there are no annotations, or no image files.
        TrainingError: no image has an object to learn from.
    """

    def __init__(
        self,
        detector: Detector,
        choice: DetectorChoice,
        dataset: CocoDataset,
        head: HeadConfig,
        config: TrainConfig,
    ) -> None:
        if dataset.annotations_file is None:
            raise DataError("these images have no annotations to train on; give --annotations")
        self.spec, self.detector, self.categories = detector.spec, choice, dataset.categories
        self._network, self._dataset, self._config = detector, dataset, config
        self._head, self._with_c1 = head, head.use_c1
        self._device = device_of(detector)
        fast = autocast_dtype(config, self._device)
        self._precision: Precision = "float32" if fast is None else "bfloat16"
        self._objects = {
            entry.image_id: found
            for entry in dataset.present().images
            if (found := dataset.annotations.get(entry.image_id, ()))
            and usable_objects(found, self.spec, ViewMap.whole(entry.size_hw))[0]
        }
        self._entries = [entry for entry in dataset.images if entry.image_id in self._objects]
        if not self._entries:
            raise TrainingError(
                f"{dataset.annotations_file} has no object that the head could learn from in "
                f"{len(dataset.images)} images; look at the annotations"
            )
        self._sizes_hw = np.array(
            [input_size(entry.size_hw, self.spec.preprocessing) for entry in self._entries]
        )

    @property
    def images_per_epoch(self) -> int:
        """Images with objects to learn from."""
        return len(self._entries)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self._entries) // self._config.batch_size)

    def batches(self, start: int, stop: int) -> Generator[TrainingBatch, None, None]:
        """The batches of steps `start` to `stop`, counted from 0 over all epochs.

        Raises:
            DataError: an image file that cannot be read; names it.
            DetectorError: the detector breaks its contract, or its weights changed.
            TrainingError: its output is not finite; names the image.
        """
        steps, config = self._members(start, stop), self._config
        decoded = prefetch(self._decode, steps, workers=config.readers, ahead=config.prefetch)
        with stays_frozen(self._network), closing(decoded):
            # while a thread matches a batch, the device already works on the next one
            numbered = enumerate(map(self._detect, decoded), start)
            yield from prefetch(self._match, numbered, ahead=1)

    def describe(self) -> dict[str, Any]:
        """The data, and what is done with it; the detector is told by `spec`."""
        return {
            "kind": "live",
            "view": "base",
            "autocast": self._precision,
            "images": {"path": str(self._dataset.images_dir), "count": len(self._entries)},
            "targets": {
                "path": str(self._dataset.annotations_file),
                "annotations": self._dataset.annotations_sha256,
                "objects": sum(map(len, self._objects.values())),
                "costs": {"class": CLASS_COST, "l1": L1_COST, "giou": GIOU_COST},
            },
        }

    def cost(self) -> dict[str, Any]:
        """Nothing: the detector's share of the training is on the batches."""
        return {}

    def _members(self, start: int, stop: int) -> Iterator[Sequence[int]]:
        """Positions of every step's images."""
        size, seed = self._config.batch_size, self._config.seed
        positions = range(len(self._entries))
        for step in range(start, stop):
            epoch, index = divmod(step, self.steps_per_epoch)
            if step == start or index == 0:
                batches = epoch_batches(positions, self._sizes_hw, size, seed, epoch)
            yield batches[index]

    def _decode(self, members: Sequence[int]) -> _Decoded:
        entries = tuple(self._entries[position] for position in members)
        images = [
            load_image(self._dataset.path(entry), self.spec.preprocessing, entry.size_hw)
            for entry in entries
        ]
        return _Decoded(entries, images)

    def _detect(self, batch: _Decoded) -> _Detected:
        with Stopwatch(self._device) as stopwatch:
            features = detect_all(
                self._network,
                batch.images,
                [entry.image_id for entry in batch.entries],
                len(batch.images),
                precision=self._precision,
                with_c1=self._with_c1,
                finish=lambda features: features,
            )
        return _Detected(batch.entries, features, stopwatch)

    def _match(self, numbered: tuple[int, _Detected]) -> TrainingBatch:
        step, batch = numbered
        targets = [
            fresh_targets(features, self._objects[entry.image_id], entry, self.spec)
            for features, entry in zip(batch.features, batch.entries, strict=True)
        ]
        names = [f"{entry.image_id} ({entry.file_name})" for entry in batch.entries]
        made = assemble(batch.features, targets, names, self._head, self._config, step)
        return replace(made, detector_seconds=batch.stopwatch.seconds)
