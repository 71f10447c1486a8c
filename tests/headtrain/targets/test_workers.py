"""Targets made by several processes are those that one makes, to the byte."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from mfd.cache import Store
from mfd.coco import CocoDataset
from mfd.errors import DataError, StoreError
from mfd.headtrain.targets import workers
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.workers import each_images_targets
from tests.builders.runs import make_dataset, make_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


@pytest.fixture
def dataset(tmp_path: Path, store: Store) -> CocoDataset:
    return make_dataset(tmp_path, store)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, an image at a time."""
    monkeypatch.setattr(workers, "_AT_ONCE", 1)
    monkeypatch.setattr(workers, "_MIN_BATCHES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def content(folder: Path) -> dict[str, bytes]:
    """Of all arrays."""
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / "zarr.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_several_processes_make_the_same_bytes_and_draw_nothing(
    store: Store, dataset: CocoDataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    alone = build_targets(store, dataset, tmp_path / "alone")
    request.getfixturevalue("two")
    before = torch.get_rng_state()
    together = build_targets(store, dataset, tmp_path / "together")
    assert len(content(alone.path)) > 10
    assert content(together.path) == content(alone.path)
    assert together.total == alone.total
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("two")
def test_processes_end_when_the_work_is_stopped(store: Store, dataset: CocoDataset) -> None:
    found = each_images_targets(store, dataset)
    next(found)
    children = multiprocessing.active_children()
    assert len(children) == 2
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    for child in children:
        child.join(60)
        assert child.exitcode == 0


@pytest.mark.usefixtures("two")
def test_an_error_in_a_process_is_the_same_line(
    store: Store, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise DataError(f"polygon in {os.getpid() != parent}")

    parent = os.getpid()
    monkeypatch.setattr(workers, "image_targets", refuse)
    with pytest.raises(DataError, match=r"^polygon in True$"):
        next(each_images_targets(store, dataset))


@pytest.mark.usefixtures("two")
def test_a_killed_process_is_said(
    store: Store, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(workers, "image_targets", killed)
    with pytest.raises(StoreError, match="a process that builds targets has ended"):
        next(each_images_targets(store, dataset))


@pytest.mark.usefixtures("two")
def test_processes_end_with_a_killed_parent(
    store: Store, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while they wait for somebody to take what they made."""
    monkeypatch.setattr(workers, "image_targets", lambda *_: bytes(2**22))
    reader, writer = multiprocessing.Pipe(duplex=False)
    parent = os.fork()
    if not parent:
        found = each_images_targets(store, dataset)
        next(found)
        writer.send(len(multiprocessing.active_children()))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    assert reader.recv() == 2
    writer.close()
    assert reader.poll(60)  # for the last process that has the pipe
    with pytest.raises(EOFError):
        reader.recv()
