"""The targets of a store's images, made by all cores: Python's threads would take turns."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.errors import MfdError, StoreError
from mfd.headtrain.targets.image import ImageTargets, image_targets
from mfd.headtrain.targets.objects import TargetCounts
from mfd.headtrain.targets.view_map import ViewMap
from mfd.text import first_line

_AT_ONCE = 16  # images that go from process to process together
_MIN_BATCHES = 16  # for a process: a tenth of a second to start, half a second of work
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>

Found = tuple[ImageTargets, TargetCounts]


def each_images_targets(store: Store, dataset: CocoDataset) -> Iterator[Found]:
    """The targets of every image, in the order of the store, and what became of its annotations.

    Raises:
        StoreError, DataError: as `image_targets`; or a process was killed.
    """
    images = {image.image_id: image for image in dataset.images}
    ids, spec = store.image_ids, store.identity.spec

    def make(position: int) -> Found:
        logits, boxes = store.detections(position)
        placement = store.placement(position)
        view = None if placement is None else ViewMap.of(placement)
        annotations = dataset.annotations.get(ids[position], ())
        return image_targets(logits, boxes, annotations, images[ids[position]], spec, view)

    batches = _Batches(make, len(store))
    # one where forked processes cannot be relied upon
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    workers = min(cores, len(batches) // _MIN_BATCHES)
    several: dict[str, Any] = {
        "num_workers": workers,
        "multiprocessing_context": "fork",
        "worker_init_fn": _end_with_the_parent,
    }
    loader = DataLoader(
        batches,
        batch_size=None,
        collate_fn=lambda items: items,
        generator=torch.Generator(),  # draws nothing from the one that training draws from
        **(several if workers > 1 else {}),
    )
    try:
        for found in loader:
            if isinstance(found, MfdError):
                raise found
            yield from found
    except RuntimeError as error:
        if isinstance(error, MfdError) or not workers > 1:
            raise
        raise StoreError(
            f"a process that builds targets has ended ({first_line(error)}); see whether memory "
            "is left, and rerun the command"
        ) from error


class _Batches(Dataset[list[Found] | MfdError]):
    """Some images at a time. An error is an item: raised, it would come with a traceback."""

    def __init__(self, make: Callable[[int], Found], images: int) -> None:
        self._make, self._positions = make, range(images)

    def __len__(self) -> int:
        return -(-len(self._positions) // _AT_ONCE)

    def __getitem__(self, index: int) -> list[Found] | MfdError:
        if index >= len(self):
            raise IndexError(index)
        try:
            return [
                self._make(position)
                for position in self._positions[index * _AT_ONCE : (index + 1) * _AT_ONCE]
            ]
        except MfdError as error:
            return error


def _end_with_the_parent(worker: int) -> None:
    """However it ends: PyTorch's own watch waits for ever once a pipe is full."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
