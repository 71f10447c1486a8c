"""Training batches read from a store and its targets, a few of them ahead in threads."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mfd.config import DetectorChoice
from mfd.detectors import ImageFeatures
from mfd.errors import TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.sources.assemble import assemble
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.lite import FeatureStore
from mfd.headtrain.sources.sampler import epoch_batches
from mfd.headtrain.targets.read import Targets
from mfd.prefetch import prefetch


class StoredSource:
    """A `BatchSource` of all images of a store that have matched boxes.

    Attributes:
        spec: of the store's detector.
        categories: name of each category id of the annotations.
        tuned: None: the detector is frozen.

    Args:
        store: a `LiteStore` where the head reads the stage-1 map and the store leaves it out.
        targets: of this store.
        head: decides what is read, and the size of the crops.
        config: batch size, seed, and how many batches are read ahead.
        pin_memory: make batches in pages that a GPU can copy from.

    Raises:
        TrainingError: no image has a matched box, the targets are of another store, or the
            stage-1 map is needed and the store has none.
    """

    tuned = None

    def __init__(
        self,
        store: FeatureStore,
        targets: Targets,
        head: HeadConfig,
        config: TrainConfig,
        *,
        pin_memory: bool = False,
    ) -> None:
        if (of := targets.identity["features"]) != store.identity.sha256:
            raise TrainingError(
                f"{targets.path} are targets of the features {of[:8]}, but {store.path} is "
                f"{store.identity.sha256[:8]}; build the targets of this store"
            )
        if head.use_c1 and not store.has_c1:
            raise TrainingError(
                f"{store.path} leaves out the stage-1 map that the head reads; complete it by "
                "`LiteStore`, or train a head with use_c1=false"
            )
        self._positions = targets.trainable(config.min_pair_iou)
        if not self._positions:
            raise TrainingError(
                f"{targets.path} has no matched object of IoU {config.min_pair_iou:g} or more "
                f"in {len(targets)} images, so there is nothing to learn; look at the annotations"
            )
        self.spec, self.categories = store.spec, targets.categories
        self._sizes_hw = store.input_hw[self._positions]
        self._store, self._targets, self._config = store, targets, config
        self._head, self._pin = head, pin_memory

    @property
    def detector(self) -> DetectorChoice:
        """The one the store was extracted with."""
        made_by = self._store.info().provenance
        name = made_by.get("detector", self.spec.name)
        # a function may take no such argument; its default is all that is known
        layer = None if ".py:" in name else self.spec.encoder_layer or None
        return DetectorChoice(name, made_by.get("weights") or None, layer)

    @property
    def images_per_epoch(self) -> int:
        """Images with matched boxes."""
        return len(self._positions)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self._positions) // self._config.batch_size)

    def batches(self, start: int, stop: int) -> Generator[TrainingBatch, None, None]:
        """The batches of steps `start` to `stop`, counted from 0 over all epochs."""
        steps = self._members(start, stop)
        config = self._config
        yield from prefetch(self._load, steps, workers=config.readers, ahead=config.prefetch)

    def describe(self) -> dict[str, Any]:
        """Identity and place of the store and of its targets."""
        fields = dict(self._store.identity.fields)
        del fields["detector"]  # `spec` says it
        return {
            "kind": "stored",
            "path": str(self._store.path.resolve()),
            "identity": self._store.identity.sha256,
            **fields,
            "targets": {"path": str(self._targets.path.resolve()), **self._targets.identity},
        }

    def cost(self) -> dict[str, Any]:
        """What extraction and matching took."""
        info = self._store.info()
        return {
            "extraction": {
                "seconds": info.seconds,
                "bytes": info.num_bytes,
                "images": info.num_images,
                **info.provenance,
            },
            "targets": {"seconds": self._targets.seconds, "bytes": self._targets.num_bytes},
        }

    def _members(self, start: int, stop: int) -> Iterator[tuple[int, Sequence[int]]]:
        """Every step, and the positions of its images in the store."""
        size, seed = self._config.batch_size, self._config.seed
        for step in range(start, stop):
            epoch, index = divmod(step, self.steps_per_epoch)
            if step == start or index == 0:
                batches = epoch_batches(self._positions, self._sizes_hw, size, seed, epoch)
            yield step, batches[index]

    def _load(self, numbered: tuple[int, Sequence[int]]) -> TrainingBatch:
        step, members = numbered
        images = [self._image(position) for position in members]
        targets = [self._targets[position] for position in members]
        names = [self._name(position) for position in members]
        read = sum(image.num_bytes for image in images)
        read += sum(runs.nbytes for t in targets for runs in t.objects.runs)
        batch = replace(
            assemble(images, targets, names, self._head, self._config, step), bytes_read=read
        )
        return batch.pin_memory() if self._pin else batch

    def _image(self, position: int) -> ImageFeatures:
        features = self._store[position]
        return features if self._head.use_c1 else replace(features, c1=None)

    def _name(self, position: int) -> str:
        image = self._store.images[position]
        return f"{image.image_id} ({image.file_name})"
