"""Writers that are killed, that work at the same time, or that find the disk full."""

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from mfd.cache import Store, StoreWriter, verify_store
from mfd.cache.format.plan import planned_bytes, resized_sizes
from mfd.cache.store.lock import writer_lock
from mfd.errors import StoreError
from tests.builders.features import SPEC, features_of, make_identity
from tests.builders.stores import contents, fill


def test_units_that_threads_write_are_those_of_one_writer(tmp_path: Path) -> None:
    identity = make_identity(75)
    with StoreWriter.open(tmp_path / "one", identity) as writer:
        expected = contents(fill(writer))
    with StoreWriter.open(tmp_path / "many", identity) as writer:
        fill(writer)  # so that the first thread has to declare the store unfinished
        writer.revoke(identity.images)

        def write(unit: int) -> None:
            writer.write(unit, features_of(writer.images(unit), SPEC, identity.dtype))
            writer.add_elapsed(1.0)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, writer.todo))
        found = contents(writer.finish())
    cost = json.loads(found.pop("_units/cost.json"))
    assert cost["record"]["seconds"] == 5
    assert found == expected


def journals(path: Path) -> dict[str, bytes]:
    """The journals of finished units."""
    return {f.name: f.read_bytes() for f in (path / "_units").glob("0*.json")}


def write_store(root: Path, count: int, killed_at: int | None = None) -> None:
    """A process's work: go on with a store; at a chosen sync or rename of a file, die."""
    calls = 0

    def or_die(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return counted

    os.fsync = or_die(lambda _: None)  # type: ignore[assignment]
    Path.replace = or_die(Path.replace)  # type: ignore[assignment, method-assign]
    Path.rename = or_die(Path.rename)  # type: ignore[assignment, method-assign]
    with StoreWriter.open(root, make_identity(count)) as writer:
        fill(writer)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that have imported everything, but share no thread with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mfd.cache", "pytest"])
    return context


def test_a_store_killed_at_twenty_random_steps_equals_one_made_without_interruption(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    with StoreWriter.open(tmp_path / "whole", make_identity(80)) as writer:
        whole = contents(fill(writer))
    path = tmp_path / "killed" / make_identity(80).folder_name
    rng = random.Random(0)
    kills = finished = 0
    while kills < 20 or not finished:
        kept = journals(path)
        step = rng.randrange(1, 180) if kills < 20 else None  # creating alone takes about 75
        process = processes.Process(target=write_store, args=(tmp_path / "killed", 80, step))
        process.start()
        process.join()
        assert kept.items() <= journals(path).items()
        if process.exitcode == 0:
            finished += 1
            assert contents(path) == whole
            shutil.rmtree(tmp_path / "killed")
        else:
            assert process.exitcode == -signal.SIGKILL
            kills += 1


def test_half_written_files_of_a_killed_writer_are_ignored_and_removed(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        writer.write(1, features_of(writer.images(1)))
        debris = [
            writer.path / "enc/tokens/c.0.0.0.tmp",
            writer.path / "_units/000000.json.tmp",
        ]
    for file in debris:
        file.write_bytes(b"half")
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        assert writer.todo == (0, 2)
        assert len(Store.open(fill(writer))) == 40
        assert not any(file.exists() for file in debris)


def test_a_store_has_several_writers_or_one_who_repairs_or_removes_it(tmp_path: Path) -> None:
    busy = pytest.raises(StoreError, match="being written by another process")
    with (
        StoreWriter.open(tmp_path, make_identity()) as writer,
        StoreWriter.open(tmp_path, make_identity()),
        busy,
        writer_lock(writer.path),
    ):
        pass
    with writer_lock(writer.path), pytest.raises(StoreError, match="being written"):
        StoreWriter.open(tmp_path, make_identity())
    StoreWriter.open(tmp_path, make_identity()).close()


def test_writers_of_one_store_write_each_unit_once_and_finish_it(tmp_path: Path) -> None:
    with (
        StoreWriter.open(tmp_path, make_identity(40)) as first,
        StoreWriter.open(tmp_path, make_identity(40), part=2) as second,
    ):
        assert first.claim((0, 1))
        assert not second.claim((1, 2))
        assert second.claim((2,))
        for writer, unit in ((first, 0), (second, 2), (first, 1)):
            writer.write(unit, features_of(writer.images(unit)))
            writer.add_elapsed(2.0)
        assert not second.claim((0, 1, 2))
        assert second.finish() == first.finish() == first.path
        assert verify_store(first.path) == []
        assert Store.open(first.path).info().seconds == 6.0


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o027, 0o640, 0o750), (0o002, 0o664, 0o775)]
)
def test_files_of_a_store_can_be_read_as_the_umask_says(
    tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    before = os.umask(umask)
    try:
        with StoreWriter.open(tmp_path / "stores", make_identity(3)) as writer:
            path = fill(writer)
    finally:
        os.umask(before)
    modes = {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in path.rglob("*")}
    assert modes == {(False, file), (True, folder)}


def test_a_full_disk_stops_in_one_line_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        writer.write(0, features_of(writer.images(0)))
        replace = Path.replace

        def full(path: Path, target: Path) -> Path:
            if "map" in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            with pytest.raises(StoreError, match=r"No space left on device.*make room.*are kept"):
                writer.write(1, features_of(writer.images(1)))
        assert writer.todo == (1, 2)
        assert not list(writer.path.rglob("*.tmp"))
        assert verify_store(fill(writer)) == []


def test_a_full_disk_leaves_nothing_of_a_store_that_could_not_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match=r"No space left on device.*; make room"):
            StoreWriter.open(tmp_path, make_identity())
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_fit_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match=r"needs about \d+ kB more, .* has 100 kB free"):
        StoreWriter.open(tmp_path / "stores", make_identity())
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_there_needs_room_for_its_missing_units_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StoreWriter.open(tmp_path, make_identity(32)) as writer:
        writer.write(0, features_of(writer.images(0)))
        spec, images = writer.identity.spec, writer.identity.images
        sizes = resized_sizes(spec.preprocessing, images)
        needed = planned_bytes(spec, "full", "float16", sizes)
        for free, refused in (
            (0.4, pytest.raises(StoreError, match="free; make room")),
            (0.6, nullcontext()),
        ):
            usage = shutil.disk_usage(tmp_path)._replace(free=int(free * needed))
            monkeypatch.setattr(shutil, "disk_usage", lambda _, found=usage: found)
            with refused:
                StoreWriter.open(tmp_path, make_identity(32)).close()
