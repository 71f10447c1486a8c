"""Box and mask AP of a head on a detector's features, image by image."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from mfd.coco import CocoDataset
from mfd.config import Evaluator
from mfd.detectors import DetectorSpec
from mfd.distributed import from_first, gathered, rank, share
from mfd.errors import ConfigError, StoreError
from mfd.headtrain.evaluation.baselines import filled_box_entries, untrained_head
from mfd.headtrain.evaluation.checks import check_size, notes_on, rows_of
from mfd.headtrain.evaluation.metrics.coco import ground_truth
from mfd.headtrain.evaluation.metrics.evaluators import coco_eval
from mfd.headtrain.evaluation.metrics.federated import MAX_DETECTIONS
from mfd.headtrain.evaluation.oracles.boxes import true_boxes
from mfd.headtrain.evaluation.oracles.masks import true_classes, true_masks, true_ranking
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.evaluation.results import Entry, box_entries, mask_entries
from mfd.headtrain.evaluation.score import score
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import collate_candidates, predict_masks
from mfd.headtrain.inference.select import Candidates, select_detections
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.sources.features import Features
from mfd.prefetch import prefetch
from mfd.progress import progress

Compared = Callable[[Candidates], Iterable[Entry]]
"""Another model: a mask for each of an image's candidates, in their order. See `open_sam`."""


def evaluate(
    head: MaskHead | None,
    features: Features,
    dataset: CocoDataset,
    *,
    baselines: bool = False,
    oracles: bool = False,
    compared: Mapping[str, Compared] | None = None,
    evaluator: Evaluator = "pycocotools",
    bootstrap: int = 0,
    split: str | None = None,
    max_detections: int | None = None,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Box and mask AP on all images of the data set; nothing is written.

    Each image passes the head alone: it has boxes enough to fill a device. Masks are pasted and
    encoded one at a time; what is kept of an image is its run lengths. Within
    `mfd.distributed.joined`, each rank takes a share of the images; only rank 0 has the results.

    Args:
        head: on `device`; put into evaluation mode. None evaluates the detector's boxes, which
            with `baselines` is a first look that costs no training.
        features: of the data set's images by the detector that the head was trained for, such as
            a `Store`.
        dataset: `without_categories` for class-agnostic AP, for which each query counts once; so
            it always is for class-agnostic heads.
        baselines: also the boxes filled, and the untrained head of the same RoI size.
        oracles: also with boxes, classes, masks or ranking taken from the ground truth, each
            alone; without a head, only masks.
        compared: other models that make masks of the same boxes, by the names of their rows.
        evaluator: who computes AP; vernier adds the boundary AP of the masks.
        bootstrap: resamples of the images for confidence intervals; 0: none.
        split: what the result calls the data set.
        max_detections: per image; None: as many as the detector's own evaluation keeps, or LVIS's.

    Raises:
        MfdError: before any work if head, features and data set do not fit together; during it,
            naming the image, if its size is not the annotated one or something is not finite.
    """
    started = time.monotonic()
    spec = features.spec
    heads = _heads(head, spec, baselines, device)
    usual = spec.max_detections if dataset.federated is None else MAX_DETECTIONS
    count = usual if max_detections is None else max_detections
    if count < 1:
        raise ConfigError(f"max_detections is {count}, expected at least 1")
    if bootstrap < 0:
        raise ConfigError(f"bootstrap is {bootstrap}, expected a number of resamples, or 0")
    coco_eval(evaluator, "bbox")  # refused now rather than after all masks are made
    rows = rows_of(features, dataset)
    needs_c1 = any(each.config.use_c1 for each in heads.values())
    if needs_c1 and not features.has_c1:
        raise StoreError(
            f"{features.path} has no stage-1 maps, which the head reads; let the detector compute "
            "them, or extract a store of the profile 'full'"
        )
    if head is not None and head.config.class_agnostic and not dataset.class_agnostic:
        dataset = dataset.without_categories()
    notes = notes_on(features, dataset, evaluator)
    needs_masks = bool(heads or compared or baselines or oracles)
    truth = ground_truth(dataset, "segm" if needs_masks else "bbox")

    sizes = {image.image_id: image.size_hw for image in dataset.images}
    found, own, in_view = _Found(), share(rows), False
    loaded = _loaded(features, own, count, with_c1=needs_c1, once=dataset.class_agnostic)
    with progress("evaluate", len(own)) as advance:
        for chosen, batch in loaded:
            check_size(chosen, sizes[chosen.image_id])
            in_view |= chosen.placement is not None
            boxes = found.add("boxes", box_entries(chosen))
            batch = batch.to(device)
            masks = {name: found.add(name, _masks(h, batch, chosen)) for name, h in heads.items()}
            if baselines:
                found.add("filled boxes", filled_box_entries(chosen))
            if oracles and head is not None:
                args = (truth, head, batch, chosen, boxes, masks["masks"])
                found.add("oracle boxes", true_boxes(*args))
            for name, model in (compared or {}).items():
                found.add(name, model(chosen))
            advance()
    of_ranks = gathered((found, in_view))
    if rank() > 0:
        return from_first(_on_rank_0)
    found = _Found.of([found for found, _ in of_ranks])
    if any(seen for _, seen in of_ranks):
        notes += ("the detector saw a view of the images: flipped, resized at random or cropped",)
    entries = found.entries
    if oracles:
        entries["oracle masks"] = list(true_masks(truth, entries["boxes"]))
    if oracles and head is not None:
        found_masks = entries["masks"]
        entries["oracle classes"] = list(true_classes(truth, entries["boxes"], found_masks))
        entries["oracle ranking"] = list(true_ranking(truth, found_masks))
    evaluation = Evaluation(
        rows=score(entries, found.seconds, truth, evaluator, bootstrap),
        categories=dataset.categories,
        notes=notes,
        images=len(rows),
        detections=len(entries["boxes"]),
        seconds=time.monotonic() - started,
        split=split,
        store=features.path.name,
        class_agnostic=dataset.class_agnostic,
    )
    from_first(evaluation.without_results)
    return evaluation


def _on_rank_0() -> Evaluation:
    raise AssertionError("only rank 0 makes the evaluation")


class _Found:
    """The detections of every row, and the seconds that it took to make them."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {}
        self.seconds: dict[str, float] = {}

    @classmethod
    def of(cls, parts: Sequence["_Found"]) -> "_Found":
        """What several ranks have found, one after the other."""
        whole = cls()
        for part in parts:
            for name, entries in part.entries.items():
                whole.entries.setdefault(name, []).extend(entries)
                whole.seconds[name] = whole.seconds.get(name, 0.0) + part.seconds[name]
        return whole

    def add(self, name: str, entries: Iterable[Entry]) -> list[Entry]:
        """Make the entries, which is timed, and keep them."""
        started = time.perf_counter()
        new = list(entries)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        self.entries.setdefault(name, []).extend(new)
        return new


def _masks(head: MaskHead, batch: FeatureBatch, chosen: Candidates) -> Iterator[Entry]:
    """A head's masks of an image."""
    (masks,) = predict_masks(head, batch, [chosen])
    yield from mask_entries(masks)


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


def _loaded(
    features: Features, rows: Sequence[int], max_detections: int, *, with_c1: bool, once: bool
) -> Iterator[tuple[Candidates, FeatureBatch]]:
    """What the head reads of the `rows`, prepared in a thread while the head works."""

    def load(row: int) -> tuple[Candidates, FeatureBatch]:
        image = features[row] if with_c1 else features[row].without_c1()
        chosen = select_detections(image, features.spec, max_detections, once=once)
        return chosen, collate_candidates([image], [chosen])

    return prefetch(load, rows)
