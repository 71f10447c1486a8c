"""Box and mask AP of a head on a detector's features, image by image."""

import time
from collections.abc import Iterator, Sequence

import torch

from mfd.coco import ANY_CATEGORY, CocoDataset, check_consistency, unknown_classes
from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError, DataError, StoreError
from mfd.headtrain.evaluation.baselines import filled_box_entries, untrained_head
from mfd.headtrain.evaluation.metrics.coco import Kind, average_precision, ground_truth
from mfd.headtrain.evaluation.report import Evaluation, Row
from mfd.headtrain.evaluation.results import Entry, box_entries, mask_entries
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import collate_candidates, predict_masks
from mfd.headtrain.inference.select import Candidates, select_detections
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.sources.features import Features
from mfd.prefetch import prefetch
from mfd.progress import progress


def evaluate(
    head: MaskHead | None,
    features: Features,
    dataset: CocoDataset,
    *,
    baselines: bool = False,
    split: str | None = None,
    max_detections: int | None = None,
    batch_size: int = 1,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Box and mask AP on all images of the data set; nothing is written.

    Masks are pasted and encoded one at a time; what is kept of an image is its run lengths.

    Args:
        head: on `device`; put into evaluation mode. None evaluates the detector's boxes, which
            with `baselines` is a first look that costs no training.
        features: of the data set's images by the detector that the head was trained for, such as
            a `Store`.
        dataset: `without_categories` for class-agnostic AP, for which each query counts once; so
            it always is for class-agnostic heads.
        baselines: also the boxes filled, and the untrained head of the same RoI size.
        split: what the result calls the data set.
        max_detections: per image; None: as many as the detector's own evaluation keeps.
        batch_size: images per forward pass; one has boxes enough to fill a device, and several
            leave the caches of a CPU.

    Raises:
        MfdError: before any work if head, features and data set do not fit together; during it,
            naming the image, if its size is not the annotated one or something is not finite.
    """
    started = time.monotonic()
    spec = features.spec
    heads = _heads(head, spec, baselines, device)
    count = spec.max_detections if max_detections is None else max_detections
    if count < 1:
        raise ConfigError(f"max_detections is {count}, expected at least 1")
    rows = _rows(features, dataset)
    needs_c1 = any(each.config.use_c1 for each in heads.values())
    if needs_c1 and not features.has_c1:
        raise StoreError(
            f"{features.path} has no stage-1 maps, which the head reads; let the detector compute "
            "them, or extract a store of the profile 'full'"
        )
    if head is not None and head.config.class_agnostic and not dataset.class_agnostic:
        dataset = dataset.without_categories()
    notes = _notes(features, dataset)

    entries: dict[str, list[Entry]] = {"boxes": []}
    if "masks" in heads:
        entries["masks"] = []
    if baselines:
        entries["filled boxes"] = []
    entries |= {name: [] for name in heads}
    sizes = {image.image_id: image.size_hw for image in dataset.images}
    once, in_view = dataset.class_agnostic, False
    loaded = _batches(features, rows, batch_size, count, with_c1=needs_c1, once=once)
    with progress("evaluate", len(rows)) as advance:
        for candidates, batch in loaded:
            for chosen in candidates:
                _check_size(chosen, sizes[chosen.image_id])
                in_view |= chosen.placement is not None
                entries["boxes"].extend(box_entries(chosen))
                if baselines:
                    entries["filled boxes"].extend(filled_box_entries(chosen))
            batch = batch.to(device)
            for name, each in heads.items():
                for masks in predict_masks(each, batch, candidates):
                    entries[name].extend(mask_entries(masks))
            advance(len(candidates))
    if in_view:
        notes += ("the detector saw a view of the images: flipped, resized at random or cropped",)
    return Evaluation(
        rows=_score(entries, dataset),
        categories=dataset.categories,
        notes=notes,
        images=len(rows),
        detections=len(entries["boxes"]),
        seconds=time.monotonic() - started,
        split=split,
        store=features.path.name,
        class_agnostic=dataset.class_agnostic,
    )


def _heads(
    head: MaskHead | None, spec: DetectorSpec, baselines: bool, device: torch.device | str
) -> dict[str, MaskHead]:
    """The heads to evaluate by the names of their rows."""
    heads = {}
    if head is not None:
        check_binding(head.spec, spec)
        heads["masks"] = head.eval()
    if baselines:
        roi_size = None if head is None else head.config.roi_size
        heads["untrained head"] = untrained_head(spec, roi_size).to(device)
    return heads


def _score(entries: dict[str, list[Entry]], dataset: CocoDataset) -> tuple[Row, ...]:
    """A row of COCO's figures for every set of detections."""
    kinds: dict[str, Kind] = {name: "bbox" if name == "boxes" else "segm" for name in entries}
    truth = {kind: ground_truth(dataset, kind) for kind in sorted(set(kinds.values()))}
    return tuple(
        Row(
            name=name,
            kind=kinds[name],
            figures=average_precision(truth[kinds[name]], found, kinds[name]),
            results=found if name in ("boxes", "masks") else None,
        )
        for name, found in entries.items()
    )


def _batches(
    features: Features,
    rows: Sequence[int],
    batch_size: int,
    max_detections: int,
    *,
    with_c1: bool,
    once: bool,
) -> Iterator[tuple[list[Candidates], FeatureBatch]]:
    """What the head reads of the `rows`, prepared in a thread while the head works."""

    def load(first: int) -> tuple[list[Candidates], FeatureBatch]:
        images = [features[row] for row in rows[first : first + batch_size]]
        if not with_c1:
            images = [image.without_c1() for image in images]
        candidates = [
            select_detections(image, features.spec, max_detections, once=once) for image in images
        ]
        return candidates, collate_candidates(images, candidates)

    return prefetch(load, range(0, len(rows), batch_size))


def _rows(features: Features, dataset: CocoDataset) -> list[int]:
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


def _check_size(chosen: Candidates, annotated_hw: tuple[int, int]) -> None:
    if chosen.size_hw != annotated_hw:
        raise DataError(
            f"image {chosen.image_id} had height and width {chosen.size_hw} when it was extracted, "
            f"the annotations say {annotated_hw}; use the annotations of the extracted images"
        )


def _notes(features: Features, dataset: CocoDataset) -> tuple[str, ...]:
    """What makes the figures differ from what a reader may expect.

    Raises:
        DataError: if the detector knows none of the categories.
    """
    spec = features.spec
    objects = [found for image in dataset.annotations.values() for found in image]
    known = {*spec.category_ids, ANY_CATEGORY} & set(dataset.categories)
    if not known:
        raise DataError(
            f"{dataset.annotations_file}: "
            + unknown_classes(
                list(dataset.categories.values()),
                (len(objects), len(objects)),
                [spec.names.get(key, key) for key in spec.category_ids],
            )
        )
    notes = []
    if dataset.class_agnostic:
        notes.append("class-agnostic: categories are ignored, each query counts once")
    if all(found.iscrowd for found in objects):
        notes.append("AP is undefined: the annotations contain no objects")
    if unknown := sorted({found.category_id for found in objects} - known):
        names = ", ".join(dataset.categories[category_id] for category_id in unknown)
        notes.append(f"the detector does not know {names}: AP 0")
    listed = {image.image_id for image in dataset.images}
    if unread := {image.image_id for image in features.invalid} & listed:
        notes.append(f"images that could not be read, their objects missed: {len(unread)}")
    if boxes_only := sum(not found.has_mask for found in objects):
        notes.append(
            f"objects without a segmentation, which no mask can match: {boxes_only}; box AP is not "
            "affected"
        )
    notes += [str(finding) for finding in check_consistency(dataset) if finding.notable]
    if dataset.skipped:
        notes.append(f"annotations that cannot be used and do not count: {len(dataset.skipped)}")
    return tuple(notes)
