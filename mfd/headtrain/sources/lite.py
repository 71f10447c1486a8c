"""A `lite` store completed by its detector: C1 is computed from the image files, in the batch."""

from dataclasses import replace

from mfd.cache import Store, StoreInfo
from mfd.coco import CocoDataset
from mfd.detectors import C1Source, Detector, ImageFeatures
from mfd.errors import DataError, DetectorError
from mfd.images import LoadedImage, load_image, load_view


class LiteStore:
    """Read like the store it wraps: `lite[i]` is `store[i]` with the image for its stage-1 map.

    Reading threads decode and resize; stage 1 runs once for all images of a batch that have one
    padded size, when the batch is on the device of the detector.

    Args:
        store: whose images come without the map.
        detector: that made the store, on the device where the head is.
        dataset: says where the image files are.

    Raises:
        DetectorError: the detector is not the store's.
    """

    has_c1 = True

    def __init__(self, store: Store, detector: Detector, dataset: CocoDataset) -> None:
        for field in ("weights_digest", "preprocessing"):
            there, here = getattr(store.spec, field), getattr(detector.spec, field)
            if there != here:
                raise DetectorError(
                    f"{store.path} holds features of {store.spec.name} ({field} {there}), found "
                    f"{detector.spec.name} ({field} {here}); use the detector it was extracted with"
                )
        self._store, self._detector = store, detector
        self._files = {entry.image_id: dataset.path(entry) for entry in dataset.images}
        self.path, self.spec, self.identity = store.path, store.spec, store.identity
        self.image_ids, self.images, self.invalid = store.image_ids, store.images, store.invalid
        self.input_hw = store.input_hw

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, position: int) -> ImageFeatures:
        """As `store[position]`, and what its stage-1 map is computed from.

        Raises:
            DataError: the image file is missing, cannot be read, or is not the one that was
                extracted.
        """
        features = self._store[position]
        image = self._load(position, features)
        source = C1Source(self._detector, image, self.identity.precision)
        return replace(features, c1_source=source)

    def _load(self, position: int, features: ImageFeatures) -> LoadedImage:
        if (file := self._files.get(features.image_id)) is None:
            raise DataError(
                f"the annotations do not list image {features.image_id} of {self.path}; give "
                "those of the extracted images"
            )
        placement, preprocessing = features.placement, self.spec.preprocessing
        sha256 = self.images[position].sha256
        if placement is None:
            return load_image(file, preprocessing, features.original_hw, sha256)
        return load_view(file, placement, preprocessing, sha256)

    def info(self) -> StoreInfo:
        """The store in a few words."""
        return self._store.info()


FeatureStore = Store | LiteStore
"""What training and evaluation read: features by position, and what they are of."""
