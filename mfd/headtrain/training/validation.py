"""Validation on the way: mask AP on the same images after every epoch, and the best head so far."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from mfd.coco import ANY_CATEGORY, CocoDataset, sample_evenly
from mfd.distributed import rank
from mfd.errors import DataError
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.features import Features
from mfd.headtrain.training.metrics import MetricsLog, Record

MASK_AP = "val_mask_ap"
BOX_AP = "val_box_ap"
_FIGURES = ("ap", "ap50", "ap75")


def sample_size(images_per_epoch: int) -> int:
    """How many images to validate on: a tenth of those of an epoch, at least 20, at most 500.

    An image with its hundred detections takes as long as four in training (the demo's head, CPU).
    """
    return min(max(images_per_epoch // 10, 20), 500)


class Validation:
    """A fixed sample of a store's images, on which heads are compared.

    Attributes:
        spec: of the store's detector.

    Args:
        features: by the detector that the heads are trained for.
        dataset: annotations of these images, in the detector's categories, or without any for
            class-agnostic heads.
        images: size of the sample, spread evenly over the data set; 0 takes all.

    Raises:
        DataError: the sample has no object that the detector knows, so that AP says nothing.
    """

    def __init__(self, features: Features, dataset: CocoDataset, images: int = 0) -> None:
        there = set(features.image_ids)
        listed = [image for image in dataset.images if image.image_id in there]
        sample = tuple(sample_evenly(listed, images or len(listed)) if listed else ())
        annotations = dataset.annotations.of_images([image.image_id for image in sample])
        known = {*features.spec.category_ids, ANY_CATEGORY}
        if not known & set(annotations.category_ids[~annotations.is_crowd].tolist()):
            raise DataError(
                f"the {len(sample)} images to validate on have no object that {features.spec.name} "
                "knows; give another --val, or --val none"
            )
        self.spec = features.spec
        self._features = features
        self._dataset = replace(dataset, images=sample, annotations=annotations)

    def __str__(self) -> str:
        return f"{len(self._dataset.images)} images of {self._features.path}"

    def measure(self, head: MaskHead) -> Record:
        """Mask AP, AP50 and AP75 of a head, the box AP above it, and the seconds it took.

        No random number is drawn; the head comes back in the mode it had.
        """
        training, device = head.training, next(head.parameters()).device
        try:
            found = evaluate(head, self._features, self._dataset, device=device)
        finally:
            head.train(training)
        masks = {f"val_mask_{name}": found["masks"].overall[name] for name in _FIGURES}
        figures = {**masks, BOX_AP: found["boxes"].ap, "val_seconds": round(found.seconds, 2)}
        return {name: value for name, value in figures.items() if value is not None}

    def box_ap(self) -> float | None:
        """What the detector does without any head."""
        return evaluate(None, self._features, self._dataset)["boxes"].ap

    def describe(self) -> dict[str, Any]:
        """Everything that determines the figures of a head, as plain JSON values."""
        return {
            "path": str(self._features.path.resolve()),
            "identity": self._features.identity.sha256,
            "annotations": self._dataset.annotations_sha256,
            "images": len(self._dataset.images),
        }


class Validator:
    """Validates a run after each epoch, keeps its best head, and says when to end early.

    All it remembers is in the run's metrics, so a resumed run continues as if it had not stopped.

    Args:
        validation: None validates nothing.
        records: that the run's metrics hold already.
        patience: epochs without a better mask AP after which training ends; 0: none.
        detector: that is trained too, to be kept with the best head.
    """

    def __init__(
        self,
        validation: Validation | None,
        run: Run,
        records: Sequence[Record],
        steps_per_epoch: int,
        patience: int,
        detector: nn.Module | None = None,
    ) -> None:
        self._validation, self._run, self._detector = validation, run, detector
        self._steps_per_epoch, self._patience = steps_per_epoch, patience
        self._found = {int(r["step"]): float(r[MASK_AP]) for r in records if MASK_AP in r}

    def is_due(self, step: int) -> bool:
        """Whether the head of this step ends an epoch and has not been validated."""
        ends_epoch = step > 0 and step % self._steps_per_epoch == 0
        return self._validation is not None and ends_epoch and step not in self._found

    def validate(self, head: MaskHead, step: int, log: MetricsLog) -> Record:
        """The record of this step's head, now in the log; the head is kept if it is the best."""
        assert self._validation is not None
        figures = self._validation.measure(head)
        record = {"step": step, "epoch": step // self._steps_per_epoch, **figures}
        mask_ap = float(figures.get(MASK_AP, 0.0))
        if mask_ap > max(self._found.values(), default=-1.0) and rank() == 0:
            self._run.keep_best(head, self._detector)
        log.write(record, sync=True)  # after the head: what the log tells of is there
        self._found[step] = mask_ap
        return record

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch and mask AP of the best head, the earliest of equals; None before the first."""
        if not self._found:
            return None
        step = max(sorted(self._found), key=lambda step: self._found[step])
        return step // self._steps_per_epoch, self._found[step]

    @property
    def ends_early(self) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        if not self._patience or self.best is None:
            return False
        return max(self._found) // self._steps_per_epoch - self.best[0] >= self._patience
