"""Box and mask AP of a head on a store, image by image."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.errors import ConfigError, DataError, StoreError
from mfd.files import write_atomically
from mfd.headtrain.evaluation.coco_ap import average_precision, ground_truth
from mfd.headtrain.evaluation.figures import Evaluation
from mfd.headtrain.evaluation.results import (
    Entry,
    box_entries,
    filled_box_entries,
    mask_entries,
    write_results,
)
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import Candidates, choose, collate_candidates, detect_masks
from mfd.headtrain.runs.binding import check_binding
from mfd.prefetch import prefetch
from mfd.progress import progress


def evaluate(
    head: MaskHead,
    store: Store,
    dataset: CocoDataset,
    run_dir: Path | None = None,
    *,
    filled_boxes: bool = False,
    untrained: MaskHead | None = None,
    max_detections: int | None = None,
    batch_size: int = 1,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Box and mask AP on all images of the data set.

    Masks are pasted and encoded one at a time; what is kept of an image is its run lengths.

    Args:
        head: on `device`; put into evaluation mode.
        store: of the data set's images and the detector that the head was trained for.
        run_dir: where `evaluation.json` goes, and `results_bbox.json` and `results_segm.json` in
            the format of COCO's server; the figures are those of these two files.
        filled_boxes: also score the boxes as masks.
        untrained: another head, such as the paper's without training (table 1), to compare with.
        max_detections: per image; None: as many as the detector's own evaluation keeps.
        batch_size: images per forward pass; one has boxes enough to fill a device, and several
            leave the caches of a CPU.

    Raises:
        MfdError: before any work if head, store and data set do not fit together; during it,
            naming the image, if its size is not the annotated one or something is not finite.
    """
    started = time.monotonic()
    heads = [head] if untrained is None else [head, untrained]
    for each in heads:
        check_binding(each.spec, store.spec)
        each.eval()
    count = store.spec.max_detections if max_detections is None else max_detections
    if count < 1:
        raise ConfigError(f"max_detections is {count}, expected at least 1")
    rows = _store_rows(store, dataset)
    needs_c1 = any(each.config.use_c1 for each in heads)
    if needs_c1 and store[rows[0]].c1 is None:
        raise StoreError(
            f"{store.path} has no stage-1 maps, which the head reads; let the detector compute "
            "them, or extract a store of the profile 'full'"
        )
    notes = _notes(store, dataset)
    truth = ground_truth(dataset)

    boxes: list[Entry] = []
    filled: list[Entry] = []
    masks: list[list[Entry]] = [[] for _ in heads]
    sizes = {image.image_id: image.size_hw for image in dataset.images}
    loaded = _batches(store, rows, batch_size, count, needs_c1)
    with progress("evaluate", len(rows)) as advance:
        for candidates, batch in loaded:
            for chosen in candidates:
                _check_size(chosen, sizes[chosen.image_id])
                boxes.extend(box_entries(chosen))
                if filled_boxes:
                    filled.extend(filled_box_entries(chosen))
            batch = batch.to(device)
            for each, entries in zip(heads, masks, strict=True):
                for detections in detect_masks(each, batch, candidates):
                    entries.extend(mask_entries(detections))
            advance(len(candidates))

    mask_aps = [average_precision(truth, entries, "segm") for entries in masks]
    evaluation = Evaluation(
        box=average_precision(truth, boxes, "bbox"),
        mask=mask_aps[0],
        mask_filled_boxes=average_precision(truth, filled, "segm") if filled_boxes else None,
        mask_untrained=None if untrained is None else mask_aps[1],
        categories=dataset.categories,
        notes=notes,
        images=len(rows),
        detections=len(boxes),
        seconds=time.monotonic() - started,
    )
    if run_dir is not None:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_results(run_dir / "results_bbox.json", boxes)
        write_results(run_dir / "results_segm.json", masks[0])
        text = json.dumps(evaluation.to_json(), indent=1) + "\n"
        write_atomically(run_dir / "evaluation.json", text.encode())
    return evaluation


def _batches(
    store: Store, rows: Sequence[int], batch_size: int, max_detections: int, with_c1: bool
) -> Iterator[tuple[list[Candidates], FeatureBatch]]:
    """What the head reads of the store's `rows`, prepared in a thread while the head works."""

    def load(first: int) -> tuple[list[Candidates], FeatureBatch]:
        images = [store[row] for row in rows[first : first + batch_size]]
        if not with_c1:
            images = [replace(image, c1=None) for image in images]
        candidates = [choose(image, store.spec, max_detections) for image in images]
        return candidates, collate_candidates(images, candidates)

    return prefetch(load, range(0, len(rows), batch_size))


def _store_rows(store: Store, dataset: CocoDataset) -> list[int]:
    """Where the data set's images are in the store, ascending, so that it is read in order."""
    listed = {image.image_id for image in dataset.images}
    known = {*store.image_ids, *(image.image_id for image in store.invalid)}
    if missing := sorted(listed - known):
        raise StoreError(
            f"{store.path} lacks {len(missing)} of the {len(listed)} images of "
            f"{dataset.annotations_file}, first image {missing[0]}; extract a store of these images"
        )
    rows = [row for row, image_id in enumerate(store.image_ids) if image_id in listed]
    if not rows:
        raise DataError(f"{dataset.annotations_file} lists no image that could be evaluated")
    return rows


def _check_size(chosen: Candidates, annotated_hw: tuple[int, int]) -> None:
    if chosen.size_hw != annotated_hw:
        raise DataError(
            f"image {chosen.image_id} had height and width {chosen.size_hw} when it was extracted, "
            f"the annotations say {annotated_hw}; use the annotations of the extracted images"
        )


def _notes(store: Store, dataset: CocoDataset) -> tuple[str, ...]:
    """What makes the figures differ from what a reader may expect.

    Raises:
        DataError: if the detector knows none of the categories.
    """
    spec = store.spec
    known = set(spec.category_ids) & set(dataset.categories)
    if not known:
        raise DataError(
            f"{dataset.annotations_file} has none of the category ids of {spec.name} "
            f"({spec.category_ids[0]}, ...); the annotations must use the detector's categories"
        )
    objects = [found for image in dataset.annotations.values() for found in image]
    notes = []
    if all(found.iscrowd for found in objects):
        notes.append("AP is undefined: the annotations hold no objects")
    if unknown := sorted({found.category_id for found in objects} - known):
        names = ", ".join(dataset.categories[category_id] for category_id in unknown)
        notes.append(f"the detector does not know {names}: AP 0")
    if unread := {image.image_id for image in store.invalid} & {i.image_id for i in dataset.images}:
        notes.append(f"images that could not be read, their objects missed: {len(unread)}")
    if dataset.skipped:
        notes.append(f"annotations that cannot be used and do not count: {len(dataset.skipped)}")
    return tuple(notes)
