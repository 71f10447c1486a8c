"""What a head is trained on: the stores of one or more views, or the detector at work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mfd import cache, distributed, headtrain, opening
from mfd.commands.plan import Plan
from mfd.config import DetectorChoice, Project
from mfd.console import say
from mfd.headtrain import HeadConfig, TrainConfig
from mfd.text import duration

if TYPE_CHECKING:
    import torch

    from mfd.coco import CocoDataset
    from mfd.detectors import Detector, DetectorSpec


@dataclass
class StoredMaterial:
    """Stores, the base view's or the first named view's first.

    Attributes:
        choice: how the detector is loaded again.
        places: what is read, for whoever watches.
    """

    project: Project
    stores: "Sequence[cache.Store]"
    device: "torch.device"

    def __post_init__(self) -> None:
        self.choice = opening.choice_of(self.project, self.stores[0])
        self.places: Sequence[str] = [str(store.path) for store in self.stores]

    @property
    def spec(self) -> "DetectorSpec":
        """Of the detector that the stores were made with."""
        return self.stores[0].spec

    @property
    def images(self) -> "Sequence[cache.StoreImage]":
        """The images of the stores, whose digests are known."""
        return self.stores[0].images

    def source(
        self,
        dataset: "CocoDataset",
        head: HeadConfig,
        recipe: TrainConfig,
        masks: "headtrain.MaskImages | None",
    ) -> "headtrain.BatchSource":
        """Batches of the stores of all views and their targets, which are built if need be."""
        (source,) = self.sources(dataset, [(head, recipe, masks)])
        return source

    def sources(
        self,
        dataset: "CocoDataset",
        heads: "Sequence[tuple[HeadConfig, TrainConfig, headtrain.MaskImages | None]]",
    ) -> "Sequence[headtrain.StoredSource]":
        """The same of each of several heads."""
        needed = any(head.use_c1 for head, _, _ in heads)
        for store in self.stores:
            headtrain.require_listed(store, dataset)
        completed = [
            opening.complete(store, dataset, self.choice, self.device, needed=needed)
            for store in self.stores
        ]
        headtrain.require_alike(completed)
        views = []
        for store, features in zip(self.stores, completed, strict=True):
            with distributed.first_alone():  # what can be refused before has been: this takes long
                targets = headtrain.build_targets(store, dataset, self.project.stores, say=say)
            view = f"{store.identity.view}: " if len(self.stores) > 1 else ""
            say(f"{view}{targets}")
            views.append((features, targets))
        on_gpu = self.device.type == "cuda"
        return [
            headtrain.StoredSource(
                *views[0], head, recipe, others=views[1:], masks=masks, pin_memory=on_gpu
            )
            for head, recipe, masks in heads
        ]

    def validation(self, wanted: str | None, plan: Plan) -> "opening.Sampling | None":
        """The named store, or the val store beside the stores that are trained on."""
        return opening.open_validation(
            self.project, wanted, self.choice, self.spec, self.stores[0], self.device,
            head=plan.head,
        )  # fmt: skip

    def begun(self, run: "headtrain.Run") -> None:
        """Refer to the run from every store, so that none is removed by accident."""
        for store in self.stores:
            cache.add_reference(store.path, run.path, self.project.stores)

    def summary(self, done: "headtrain.TrainSummary") -> str | None:
        """How much of the time went by waiting for the stores; None if none was spent now."""
        if not done.metrics:
            return None
        progress = done.progress
        share = progress.waiting_seconds / max(progress.seconds, 1e-9)
        return f"waited for data {share:.1%} of {duration(progress.seconds)}"


@dataclass
class LiveMaterial:
    """The detector in the loop."""

    project: Project
    choice: DetectorChoice
    detector: "Detector"
    device: "torch.device"
    places: Sequence[str] = ("none, the detector runs on every batch",)

    @property
    def spec(self) -> "DetectorSpec":
        """Of the detector."""
        return self.detector.spec

    @property
    def images(self) -> "Sequence[cache.StoreImage]":
        """None: no file has been read yet."""
        return ()

    def source(
        self,
        dataset: "CocoDataset",
        head: HeadConfig,
        recipe: TrainConfig,
        masks: "headtrain.MaskImages | None",
    ) -> "headtrain.BatchSource":
        """Batches that the detector is run on."""
        return headtrain.LiveSource(self.detector, self.choice, dataset, head, recipe, masks)

    def validation(self, wanted: str | None, plan: Plan) -> "opening.Sampling | None":
        """A store of a detector that stays as it is; images for one that is trained itself."""
        if plan.recipe.finetune != "none":
            return opening.open_live_validation(self.project, wanted, self.detector)
        return opening.open_validation(
            self.project, wanted, self.choice, self.spec, None, self.device, head=plan.head
        )

    def begun(self, run: "headtrain.Run") -> None:
        """Nothing is kept that a run could need."""

    def summary(self, done: "headtrain.TrainSummary") -> str:
        """How much of the time was the detector's."""
        progress = done.progress
        return (
            f"the detector took {duration(progress.detector_seconds)} of "
            f"{duration(progress.seconds)}"
        )


Material = StoredMaterial | LiveMaterial
"""Features to train on, and whatever has to do with where they come from."""


def open_stored(
    project: Project,
    split: str,
    views: str | None,
    path: Path | None,
    layer: int | None,
    saved: "headtrain.RunConfig | None",
    device: "torch.device",
) -> StoredMaterial:
    """The stores of the named views, or those that a run was begun on."""
    names = None if views is None else views.split(",")
    before = saved.source if saved else {}
    return StoredMaterial(
        project, opening.open_views(project, split, names, path, layer, before), device
    )
