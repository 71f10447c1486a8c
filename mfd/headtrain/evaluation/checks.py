"""Whether features and data set fit together, and what a reader of the figures must know."""

import numpy as np

from mfd.coco import ANY_CATEGORY, CocoDataset, check_consistency, unknown_classes
from mfd.config import Evaluator
from mfd.errors import DataError, StoreError
from mfd.headtrain.inference.select import Candidates
from mfd.headtrain.sources.features import Features


def rows_of(features: Features, dataset: CocoDataset) -> list[int]:
    """Where the data set's images are in the features, ascending, so that they are in order."""
    listed = {image.image_id for image in dataset.images}
    known = {*features.image_ids, *(image.image_id for image in features.invalid)}
    if missing := sorted(listed - known):
        raise StoreError(
            f"{features.path} lacks {len(missing)} of the {len(listed)} images of "
            f"{dataset.annotations_file}, first image {missing[0]}; extract a store of these images"
        )
    rows = [row for row, image_id in enumerate(features.image_ids) if image_id in listed]
    if not rows:
        raise DataError(f"{dataset.annotations_file} lists no image that could be evaluated")
    return rows


def check_size(chosen: Candidates, annotated_hw: tuple[int, int]) -> None:
    if chosen.size_hw != annotated_hw:
        raise DataError(
            f"image {chosen.image_id} had height and width {chosen.size_hw} when it was extracted, "
            f"the annotations say {annotated_hw}; use the annotations of the extracted images"
        )


def notes_on(
    features: Features, dataset: CocoDataset, evaluator: Evaluator = "pycocotools"
) -> tuple[str, ...]:
    """What makes the figures differ from what a reader may expect.

    Raises:
        DataError: if the detector knows none of the categories.
    """
    spec = features.spec
    objects = dataset.annotations
    known = {*spec.category_ids, ANY_CATEGORY} & set(dataset.categories)
    if not known:
        raise DataError(
            f"{dataset.annotations_file}: "
            + unknown_classes(
                list(dataset.categories.values()),
                (len(objects.ids), len(objects.ids)),
                [spec.names.get(key, key) for key in spec.category_ids],
            )
        )
    notes = []
    if dataset.class_agnostic:
        notes.append("class-agnostic: categories are ignored, each query counts once")
    if dataset.federated is not None and (dataset.class_agnostic or evaluator != "vernier"):
        cure = "" if dataset.class_agnostic else "; --evaluator vernier keeps LVIS's rules"
        notes.append(f"objects that LVIS leaves out count as false alarms here{cure}")
    if objects.is_crowd.all():
        notes.append("AP is undefined: the annotations contain no objects")
    if unknown := sorted(set(objects.category_ids.tolist()) - known):
        names = ", ".join(dataset.categories[category_id] for category_id in unknown)
        notes.append(f"the detector does not know {names}: AP 0")
    listed = {image.image_id for image in dataset.images}
    if unread := {image.image_id for image in features.invalid} & listed:
        notes.append(f"images that could not be read, their objects missed: {len(unread)}")
    if boxes_only := np.count_nonzero(~objects.has_mask):
        notes.append(
            f"objects without a segmentation, which no mask can match: {boxes_only}; box AP is not "
            "affected"
        )
    notes += [str(finding) for finding in check_consistency(dataset) if finding.notable]
    if dataset.skipped:
        notes.append(f"annotations that cannot be used and do not count: {len(dataset.skipped)}")
    return tuple(notes)
