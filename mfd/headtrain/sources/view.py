"""One view of the training images: a store with its targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from mfd.detectors import ImageFeatures
from mfd.errors import TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.sources.lite import FeatureStore
from mfd.headtrain.targets.read import Targets


class StoredView:
    """The images of a store that have matched boxes to train on.

    Attributes:
        store: of the view.
        targets: of this store.
        image_ids: of the images with matched boxes, ascending.

    Args:
        head: decides what is read.
        config: says which matched boxes are trained.

    Raises:
        TrainingError: the targets are of another store, or the stage-1 map is needed and the store
            has none.
    """

    def __init__(
        self, store: FeatureStore, targets: Targets, head: HeadConfig, config: TrainConfig
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
        self.store, self.targets, self._needs_c1 = store, targets, head.use_c1
        self._positions = np.array(targets.trainable(config.min_pair_iou), np.int64)
        self.image_ids = np.array(store.image_ids, np.int64)[self._positions]

    def require_like(self, first: "StoredView") -> None:
        """Nothing, if images of this view and of another can be in one batch.

        Raises:
            DetectorError: the views are of several detectors.
            TrainingError: they are stored in several element types, or their targets are of
                several annotation files.
        """
        require_alike([first.store, self.store])
        of_first, own = (view.targets.identity["annotations"][:8] for view in (first, self))
        _require_same("annotations", (first.store, of_first), (self.store, own))

    def positions_of(self, image_ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Where the images are in the store; -1 for those without a matched box here."""
        found = dict(zip(self.image_ids.tolist(), self._positions.tolist(), strict=True))
        return np.array([found.get(image_id, -1) for image_id in image_ids.tolist()], np.int64)

    def features(self, position: int) -> ImageFeatures:
        """Of one image, without the stage-1 map if the head does not read it."""
        features = self.store[position]
        return features if self._needs_c1 else features.without_c1()

    def name(self, position: int) -> str:
        """What errors call an image."""
        image = self.store.images[position]
        return f"{image.image_id} ({image.file_name})"

    def describe(self) -> dict[str, Any]:
        """Identity and place of the store and of its targets."""
        fields = dict(self.store.identity.fields)
        del fields["detector"]  # the source's `spec` says it
        return {
            "path": str(self.store.path.resolve()),
            "identity": self.store.identity.sha256,
            **fields,
            "targets": {"path": str(self.targets.path.resolve()), **self.targets.identity},
        }


def require_alike(stores: Sequence[FeatureStore]) -> None:
    """Nothing, if images of these stores can be in one batch.

    Raises:
        DetectorError: they are of several detectors.
        TrainingError: they have several element types.
    """
    first, *others = stores
    for store in others:
        check_binding(first.spec, store.spec)
        _require_same("dtype", (first, first.identity.dtype), (store, store.identity.dtype))


def _require_same(
    name: str, there: tuple[FeatureStore, str], here: tuple[FeatureStore, str]
) -> None:
    if there[1] != here[1]:
        raise TrainingError(
            f"{here[0].path} has {name} {here[1]}, {there[0].path} has {there[1]}; the views of "
            "one training must agree in it"
        )
