"""Training batches from the detector at work; images are decoded ahead, nothing is stored."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from mfd.coco import CocoDataset, ImageEntry
from mfd.config import DetectorChoice, Precision
from mfd.detectors import (
    Detector,
    ImageFeatures,
    detect_all,
    device_of,
    stays_frozen,
)
from mfd.distributed import share
from mfd.errors import ConfigError, DataError, TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.precision import autocast_dtype
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.finetune.truth import detection_truth
from mfd.headtrain.finetune.tuned import TunedDetector
from mfd.headtrain.sources.assemble import assemble
from mfd.headtrain.sources.augment import placement
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.masks import MaskImages
from mfd.headtrain.sources.sampler import epoch_batches
from mfd.headtrain.sources.stopwatch import Stopwatch
from mfd.headtrain.targets.fresh import fresh_targets
from mfd.headtrain.targets.match import CLASS_COST, GIOU_COST, L1_COST
from mfd.headtrain.targets.objects import usable_objects
from mfd.headtrain.targets.view_map import ViewMap
from mfd.images import LoadedImage, Placement, read_rgb
from mfd.prefetch import prefetch


class _Placed(NamedTuple):
    """An image, and where it lies in the detector's input in this epoch."""

    entry: ImageEntry
    placement: Placement


class _Decoded(NamedTuple):
    """A batch when its files have been read."""

    members: Sequence[_Placed]
    images: list[LoadedImage]


class _Detected(NamedTuple):
    """A batch when the detector has been started on it."""

    members: Sequence[_Placed]
    features: Sequence[ImageFeatures]
    stopwatch: Stopwatch
    loss: Tensor | None = None
    objects: int = 0


class LiveSource:
    """A `BatchSource` that runs the detector on every batch.

    Without augmentation, batches have the images, in the order, that a `StoredSource` of the same
    data gives them. Three things happen at once: threads decode, the device runs the detector and
    the head, and a thread matches the batch after the current one. A detector that is trained too
    computes a batch only when the step before has changed it.

    Attributes:
        spec: of the detector.
        detector: how it is loaded again.
        categories: name of each category id of the annotations.
        tuned: the detector, if the recipe trains it.

    Args:
        detector: as loaded, on the device where the head is trained.
        choice: how it was loaded.
        dataset: images whose file is absent are left out, and so are those without an object that
            the head could learn from.
        head: decides what is kept of the detector's output.
        config: batch size, seed, precision, threads that decode and batches decoded ahead.
        masks: the images to train on; None: all.

    Raises:
        ConfigError: the recipe trains a detector that mfd has no losses for, or on objects
            without categories, or averages weights meanwhile.
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
        masks: MaskImages | None = None,
    ) -> None:
        if dataset.annotations_file is None:
            raise DataError("these images have no annotations to train on; give --annotations")
        if masks is not None:
            dataset = masks.only(dataset)
        self._masks = masks
        self.spec, self.detector, self.categories = detector.spec, choice, dataset.categories
        self._network, self._dataset, self._config = detector, dataset, config
        self._head, self._with_c1 = head, head.use_c1
        self._device = device_of(detector)
        part = config.finetune
        if part != "none" and dataset.class_agnostic:
            raise ConfigError(
                f"finetune={part} teaches the detector its categories, but the head is trained "
                "without any; leave out finetune or class_agnostic"
            )
        if part != "none" and config.ema_decay:
            raise ConfigError(
                f"ema_decay={config.ema_decay:g} averages the weights of the head alone; with "
                f"finetune={part} leave it out"
            )
        self.tuned = None if part == "none" else TunedDetector(detector, part)
        fast = autocast_dtype(config, self._device)
        self._precision: Precision = "float32" if fast is None else "bfloat16"
        self._entries = [
            entry
            for entry in dataset.present().images
            if (found := dataset.annotations.get(entry.image_id, ()))
            and usable_objects(found, self.spec, ViewMap.whole(entry.size_hw))[0]
        ]
        if not self._entries:
            raise TrainingError(
                f"{dataset.annotations_file} has no object that the head could learn from in "
                f"{len(dataset.images)} images; look at the annotations"
            )

    @property
    def images_per_epoch(self) -> int:
        """Images with objects to learn from."""
        return len(self._entries)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self._entries) // self._config.batch_size)

    def batches(self, start: int, stop: int) -> Generator[TrainingBatch | None, None, None]:
        """This rank's share of steps `start` to `stop`, counted from 0 over all epochs.

        Raises:
            DataError: an image file that cannot be read; names it.
            DetectorError: the detector breaks its contract, or its weights changed.
            TrainingError: its output is not finite; names the image.
        """
        steps, config = self._members(start, stop), self._config
        decoded = prefetch(self._decode, steps, workers=config.readers, ahead=config.prefetch)
        if self.tuned is not None:
            with closing(decoded):
                tuned = map(partial(self._tune, self.tuned), decoded)
                yield from map(self._match, enumerate(tuned, start))
            return
        with stays_frozen(self._network), closing(decoded):
            # while a thread matches a batch, the device already works on the next one
            numbered = enumerate(map(self._detect, decoded), start)
            yield from prefetch(self._match, numbered, ahead=1)

    def describe(self) -> dict[str, Any]:
        """The data, and what is done with it; the detector is told by `spec`."""
        masks = {"masks": self._masks.describe()} if self._masks else {}
        annotations = self._dataset.annotations
        return {
            "kind": "live",
            **masks,
            "autocast": self._precision,
            "images": {"path": str(self._dataset.images_dir), "count": len(self._entries)},
            "targets": {
                "path": str(self._dataset.annotations_file),
                "annotations": self._dataset.annotations_sha256,
                "objects": len(annotations.of_images([e.image_id for e in self._entries]).ids),
                "costs": {"class": CLASS_COST, "l1": L1_COST, "giou": GIOU_COST},
            },
        }

    def cost(self) -> dict[str, Any]:
        """Nothing: the detector's share of the training is on the batches."""
        return {}

    def _members(self, start: int, stop: int) -> Iterator[Sequence[_Placed]]:
        """This rank's images of every step; batches are of similar sizes in the detector."""
        config = self._config
        for step in range(start, stop):
            epoch, index = divmod(step, self.steps_per_epoch)
            if step == start or index == 0:
                placed = [self._place(entry, epoch) for entry in self._entries]
                sizes_hw = np.array([each.placement.input_hw for each in placed])
                positions = range(len(placed))
                batches = epoch_batches(positions, sizes_hw, config.batch_size, config.seed, epoch)
            yield [placed[position] for position in share(batches[index])]

    def _place(self, entry: ImageEntry, epoch: int) -> _Placed:
        config, preprocessing = self._config, self.spec.preprocessing
        return _Placed(entry, placement(config.augment, entry, preprocessing, config.seed, epoch))

    def _decode(self, members: Sequence[_Placed]) -> _Decoded:
        preprocessing, images = self.spec.preprocessing, []
        for entry, place in members:
            path = self._dataset.path(entry)
            rgb = read_rgb(path, entry.size_hw, upright=preprocessing.upright)
            images.append(place.apply(rgb, preprocessing))
        return _Decoded(members, images)

    def _detect(self, batch: _Decoded) -> _Detected:
        with Stopwatch(self._device) as stopwatch:
            features = detect_all(
                self._network,
                batch.images,
                [entry.image_id for entry, _ in batch.members],
                len(batch.images),
                precision=self._precision,
                with_c1=self._with_c1,
                finish=lambda features: features,
            )
        return _Detected(batch.members, features, stopwatch)

    def _tune(self, tuned: TunedDetector, batch: _Decoded) -> _Detected:
        """As `_detect`, with gradients, and with the detector's loss over the objects."""
        members = batch.members
        if not members:
            return _Detected(members, (), Stopwatch(self._device))
        with Stopwatch(self._device) as stopwatch:
            truths = [
                detection_truth(
                    self._dataset.annotations[entry.image_id], self.spec, self._view(entry, place)
                ).to(self._device)
                for entry, place in members
            ]
            features, loss = tuned.detect(
                batch.images,
                [entry.image_id for entry, _ in members],
                truths,
                precision=self._precision,
                with_c1=self._with_c1,
            )
        objects = sum(len(truth.columns) for truth in truths)
        return _Detected(members, features, stopwatch, loss, objects)

    def _view(self, entry: ImageEntry, place: Placement) -> ViewMap:
        whole = self._config.augment == "none"
        return ViewMap.whole(entry.size_hw) if whole else ViewMap.of(place)

    def _match(self, numbered: tuple[int, _Detected]) -> TrainingBatch | None:
        step, batch = numbered
        if not batch.members:
            return None
        targets = [
            fresh_targets(
                features,
                self._dataset.annotations[entry.image_id],
                entry,
                self.spec,
                self._view(entry, place),
            )
            for features, (entry, place) in zip(batch.features, batch.members, strict=True)
        ]
        names = [f"{entry.image_id} ({entry.file_name})" for entry, _ in batch.members]
        made = assemble(batch.features, targets, names, self._head, self._config, step)
        return replace(
            made,
            detector_seconds=batch.stopwatch.seconds,
            detector_loss=batch.loss,
            detector_objects=batch.objects,
        )
