"""Training batches read from a store and its targets, a few of them ahead in threads."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int64

from mfd.config import DetectorChoice
from mfd.detectors import ImageFeatures
from mfd.distributed import share
from mfd.errors import TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.sources.assemble import assemble
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.lite import FeatureStore
from mfd.headtrain.sources.masks import MaskImages
from mfd.headtrain.sources.sampler import drawn_views, epoch_batches
from mfd.headtrain.sources.view import StoredView
from mfd.headtrain.targets.image import ImageTargets
from mfd.headtrain.targets.read import Targets
from mfd.prefetch import prefetch

Member = tuple[StoredView, int]
"""An image of a batch: in which view, and where in its store."""


@dataclass(frozen=True)
class ReadImages:
    """What is on disk about the images of a batch.

    Attributes:
        names: what errors call them.
        num_bytes: that were read.
    """

    images: Sequence[ImageFeatures]
    targets: Sequence[ImageTargets]
    names: Sequence[str]
    num_bytes: int


class StoredSource:
    """A `BatchSource` of all images of a store that have matched boxes.

    With other views of the images, each epoch draws one for every image, out of those in which it
    has matched boxes.

    Attributes:
        spec: of the stores' detector.
        categories: name of each category id of the annotations.
        tuned: None: the detector is frozen.
        head, config, pin_memory: as given.

    Args:
        store: a `LiteStore` where the head reads the stage-1 map and the store leaves it out.
        targets: of this store.
        head: decides what is read, and the size of the crops.
        config: batch size, seed, and how many batches are read ahead.
        others: store and targets of every other view.
        masks: the images to train on; None: all that have matched boxes.
        pin_memory: make batches in pages that a GPU can copy from.

    Raises:
        TrainingError: no image has a matched box, targets are of another store, the stage-1 map is
            needed and a store has none, or the views' stores do not go together.
        DetectorError: the views are of several detectors.
    """

    tuned = None

    def __init__(
        self,
        store: FeatureStore,
        targets: Targets,
        head: HeadConfig,
        config: TrainConfig,
        *,
        others: Sequence[tuple[FeatureStore, Targets]] = (),
        masks: MaskImages | None = None,
        pin_memory: bool = False,
    ) -> None:
        self._views = [StoredView(*view, head, config) for view in ((store, targets), *others)]
        for view in self._views[1:]:
            view.require_like(self._views[0])
        self._image_ids = np.unique(np.concatenate([view.image_ids for view in self._views]))
        if masks is not None:
            self._image_ids = self._image_ids[np.isin(self._image_ids, [*masks.image_ids])]
        if not len(self._image_ids):
            count = len(targets) if masks is None else len(masks.image_ids)
            if targets.total.matched and config.min_pair_iou:
                what, cure = (
                    f"no matched object of IoU {config.min_pair_iou:g} or more with its box",
                    "`mfd doctor` says what the detector finds",
                )
            else:
                what, cure = "no matched object", "look at the annotations"
            raise TrainingError(
                f"{targets.path} has {what} in {count} images, so there is nothing to learn; {cure}"
            )
        self.spec, self.categories = store.spec, targets.categories
        self._masks = masks
        self.config, self.head, self.pin_memory = config, head, pin_memory

    @property
    def detector(self) -> DetectorChoice:
        """The one the store was extracted with."""
        noted = DetectorChoice.noted(self._views[0].store.info().provenance, self.spec.name)
        # a function may take no such argument; its default is all that is known
        layer = None if ".py:" in noted.name else self.spec.encoder_layer or None
        return replace(noted, encoder_layer=layer)

    @property
    def images_per_epoch(self) -> int:
        """Images with matched boxes."""
        return len(self._image_ids)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self._image_ids) // self.config.batch_size)

    def batches(self, start: int, stop: int) -> Generator[TrainingBatch | None, None, None]:
        """This rank's share of steps `start` to `stop`, counted from 0 over all epochs."""
        steps = self.members(start, stop)
        config = self.config
        yield from prefetch(self._load, steps, workers=config.readers, ahead=config.prefetch)

    def reads_like(self, other: "StoredSource") -> bool:
        """Whether both read the same images, with the same targets, at every step."""
        return (
            (self.config.batch_size, self.config.seed)
            == (other.config.batch_size, other.config.seed)
            and [(view.store.path, view.targets.path) for view in self._views]
            == [(view.store.path, view.targets.path) for view in other._views]
            and np.array_equal(self._positions, other._positions)
        )

    def describe(self) -> dict[str, Any]:
        """Identity and place of the store and of its targets, the other views', and the images."""
        first, *others = (view.describe() for view in self._views)
        further = {"others": {str(n): of for n, of in enumerate(others, 1)}} if others else {}
        masks = {"masks": self._masks.describe()} if self._masks else {}
        return {"kind": "stored", **first, **further, **masks}

    def cost(self) -> dict[str, Any]:
        """What extraction and matching took, over all views."""
        infos, targets = zip(*((v.store.info(), v.targets) for v in self._views), strict=True)
        seconds = [info.seconds for info in infos if info.seconds is not None]
        return {
            "extraction": {
                "seconds": sum(seconds) if seconds else None,
                "bytes": sum(info.num_bytes for info in infos),
                "images": sum(info.num_images for info in infos),
                **infos[0].provenance,
            },
            "targets": {
                "seconds": sum(each.seconds for each in targets),
                "bytes": sum(each.num_bytes for each in targets),
            },
        }

    @cached_property
    def _positions(self) -> Int64[np.ndarray, "n V"]:
        """Where each image is in the store of each view; -1 where it has no matched box."""
        return np.stack([view.positions_of(self._image_ids) for view in self._views], 1)

    def members(self, start: int, stop: int) -> Iterator[tuple[int, list[Member]]]:
        """Every step, and view and position of this rank's images."""
        size, seed, positions = self.config.batch_size, self.config.seed, self._positions
        rows = range(len(positions))
        for step in range(start, stop):
            epoch, index = divmod(step, self.steps_per_epoch)
            if step == start or index == 0:
                drawn = drawn_views(self._image_ids, positions >= 0, seed, epoch)
                chosen = [
                    (self._views[view], int(positions[row, view]))
                    for row, view in enumerate(drawn.tolist())
                ]
                sizes_hw = np.stack([view.store.input_hw[at] for view, at in chosen])
                batches = epoch_batches(rows, sizes_hw, size, seed, epoch)
            yield step, [chosen[row] for row in share(batches[index])]

    def read(self, members: Sequence[Member]) -> ReadImages:
        """Features and targets of the images, one at least."""
        images = [view.features(position) for view, position in members]
        targets = [view.targets[position] for view, position in members]
        names = [view.name(position) for view, position in members]
        read = sum(image.num_bytes for image in images)
        read += sum(runs.nbytes for t in targets for runs in t.objects.runs)
        return ReadImages(images, targets, names, read)

    def made_of(self, read: ReadImages, step: int) -> TrainingBatch:
        """The batch of a step, of the images that were read for it."""
        batch = assemble(read.images, read.targets, read.names, self.head, self.config, step)
        return replace(batch, bytes_read=read.num_bytes)

    def _load(self, numbered: tuple[int, list[Member]]) -> TrainingBatch | None:
        step, members = numbered
        if not members:
            return None
        batch = self.made_of(self.read(members), step)
        return batch.pin_memory() if self.pin_memory else batch
