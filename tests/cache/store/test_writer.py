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
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
import zarr

from mfd.cache import Store, StoreIdentity, StoreWriter, encode_features, verify_store
from mfd.cache.format.plan import planned_bytes, resized_sizes
from mfd.cache.store.identity import SCHEMA
from mfd.cache.store.lock import writer_lock
from mfd.config import StoredDtype
from mfd.errors import StoreError
from mfd.images.preprocessing import Preprocessing
from tests.builders.features import SPEC, features_of, make_features, make_identity


def fill(writer: StoreWriter) -> Path:
    """Write what is missing and finish."""
    for unit in writer.todo:
        identity = writer.identity
        writer.write(unit, features_of(writer.images(unit), identity.spec, identity.dtype))
    return writer.finish()


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a store but the locks."""
    locks = (".lock", ".finish.lock")
    files = (f for f in path.rglob("*") if f.is_file() and f.name not in locks)
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


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


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("profile", ["full", "lite"])
def test_plain_zarr_reads_what_was_written(tmp_path: Path, profile: str, dtype: str) -> None:
    identity = make_identity(19, profile=profile, dtype=dtype)
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    index = group["index"]
    assert ("c1" in group) == (profile == "full")
    for row, image in enumerate(identity.images):
        features = make_features(image)
        tokens = group["enc/tokens"][row, : index["n_tokens"][row]]
        levels = np.split(tokens, index["level_hw"][row].prod(-1).cumsum()[:-1])
        for level, hw, memory in zip(levels, index["level_hw"][row], features.memory, strict=True):
            assert np.array_equal(level.reshape(*hw, 12), memory.numpy().astype(dtype))
        assert not group["enc/tokens"][row, index["n_tokens"][row] :].any()
        assert np.array_equal(group["dec/query"][row], features.queries.numpy().astype(dtype))
        assert np.array_equal(group["dec/logit"][row], features.logits.numpy().astype(dtype))
        assert np.array_equal(group["dec/box"][row], features.boxes.numpy())
        if features.c1 is not None and profile == "full":
            height, width = index["c1_hw"][row]
            c1 = group["c1/map"][row, : height * width].reshape(height, width, 5)
            assert np.array_equal(c1, features.c1.numpy().astype(dtype))
        assert index["image_id"][row] == image.image_id
        assert tuple(index["orig_hw"][row]) == image.original_hw
        assert tuple(index["hw"][row]) == features.input_hw
        assert index["file_name"][row].tobytes().rstrip(b"\0").decode() == image.file_name
        assert index["sha256"][row].tobytes().hex() == image.sha256
        assert index["valid"][row] == 1


@pytest.mark.parametrize("profile", ["full", "lite"])
def test_plain_zarr_reads_int8_maps_by_the_formula_in_their_attributes(
    tmp_path: Path, profile: str
) -> None:
    identity = make_identity(19, profile=profile, dtype="int8")
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    formula = "value = stored * enc/scale[image, level of the token]"
    assert group["enc/tokens"].attrs["formula"] == formula
    assert group["enc/tokens"].dtype == np.int8
    assert set(group["dec"].array_keys()) == {"box", "logit", "query"}
    assert group["dec/logit"].dtype == group["dec/query"].dtype == np.float16
    for row in (0, 15, 18):
        features = make_features(identity.images[row])
        level_hw = group["index/level_hw"][row]
        level = np.repeat(np.arange(len(level_hw)), level_hw.prod(-1))
        scale = group["enc/scale"][row]
        tokens = group["enc/tokens"][row, : len(level)] * scale[level]
        exact = np.concatenate([m.numpy().reshape(-1, 12) for m in features.memory])
        assert (np.abs(tokens - exact) <= 0.5001 * scale[level]).all()
        if profile == "full":
            assert features.c1 is not None
            assert group["c1/map"].attrs["formula"] == "value = stored * c1/scale[image]"
            exact = features.c1.numpy().reshape(-1, 5)
            pixels = group["c1/map"][row, : len(exact)] * group["c1/scale"][row]
            assert (np.abs(pixels - exact) <= 0.5001 * group["c1/scale"][row]).all()
    assert verify_store(path) == []


def test_plain_zarr_lists_the_store_without_a_warning(sound_store: Path) -> None:
    group = zarr.open_group(sound_store, mode="r")
    names = {name for name, _ in group.members(max_depth=None)}
    assert {"enc/tokens", "c1/map", "dec/query", "index/image_id"} <= names
    assert group.attrs["schema"] == SCHEMA


@pytest.mark.parametrize("codec", ["zstd", "blosc"])
def test_codecs_change_bytes_but_no_number(tmp_path: Path, sound_store: Path, codec: str) -> None:
    with StoreWriter.open(tmp_path, make_identity(), codec=codec) as writer:  # type: ignore[arg-type]
        path = fill(writer)
    ours, plain = zarr.open_group(path, mode="r"), zarr.open_group(sound_store, mode="r")
    for name in ("enc/tokens", "c1/map", "dec/query", "dec/logit", "dec/box", "index/hw"):
        assert np.array_equal(ours[name][...], plain[name][...])
    assert contents(path)["c1/map/c.0.0.0"] != contents(sound_store)["c1/map/c.0.0.0"]
    assert Store.open(path).info().codec == codec


def test_another_codec_is_refused_on_resume(tmp_path: Path) -> None:
    StoreWriter.open(tmp_path, make_identity()).close()
    with pytest.raises(StoreError, match="started with codec none, found --codec zstd"):
        StoreWriter.open(tmp_path, make_identity(), codec="zstd")


def test_chunks_that_a_short_image_does_not_reach_take_no_room(tmp_path: Path) -> None:
    large = Preprocessing(shorter_side=200, longer_side=800)
    spec = replace(SPEC, dim=256, preprocessing=large)
    images = make_identity(32).images
    wide = tuple(replace(i, original_hw=(20, 80 if i.image_id < 9 else 20)) for i in images)
    identity = StoreIdentity(spec, "train", wide, profile="lite")
    with StoreWriter.open(tmp_path, identity) as writer:
        path = fill(writer)
    group = zarr.open_group(path, mode="r")
    true = int(group["index/n_tokens"][...].sum()) * 256 * 2
    stored = sum(f.stat().st_size for f in (path / "enc/tokens").glob("c.*"))
    rows, room, width = group["enc/tokens"].shape
    assert rows * room * width * 2 > 3 * true
    assert true < stored < 1.1 * true
    assert group["enc/tokens"].chunks[1] < room / 4
    for row in (0, 31):
        features = make_features(identity.images[row], spec)
        tokens = np.concatenate([m.half().numpy().reshape(-1, 256) for m in features.memory])
        assert np.array_equal(group["enc/tokens"][row, : len(tokens)], tokens)


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


def test_a_finished_store_is_not_written_again(sound_store: Path) -> None:
    def times() -> dict[Path, int]:
        return {f: f.stat().st_mtime_ns for f in sound_store.rglob("*") if f.name != ".lock"}

    before = times()
    with StoreWriter.open(sound_store.parent, make_identity()) as writer:
        assert writer.finish() == sound_store
    assert times() == before


def test_seconds_add_up_over_interruptions(tmp_path: Path) -> None:
    for seconds in (1.5, 2.25):
        with StoreWriter.open(tmp_path, make_identity(20)) as writer:
            writer.write(writer.todo[0], features_of(writer.images(writer.todo[0])))
            writer.add_elapsed(seconds)
    assert Store.open(writer.finish()).info().seconds == 3.75


def test_a_store_of_another_identity_is_refused_naming_field_and_both_values(
    tmp_path: Path,
) -> None:
    with StoreWriter.open(tmp_path, make_identity()) as writer:
        path = fill(writer)
    other = make_identity(spec=replace(SPEC, weights_digest="cd" * 32))
    path.rename(tmp_path / other.folder_name)  # as if the first eight digits were the same
    with pytest.raises(StoreError) as refusal:
        StoreWriter.open(tmp_path, other)
    assert f'detector.weights_digest is "{"ab" * 32}", expected "{"cd" * 32}"' in str(refusal.value)


def test_an_unfinished_store_cannot_be_declared_complete(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        writer.write(1, features_of(writer.images(1)))
        with pytest.raises(StoreError, match="2 of 3 units are missing, the first is unit 0"):
            writer.finish()


def test_a_store_with_a_lost_shard_cannot_be_declared_complete(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(20)) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit)))
        (writer.path / "dec/query/c.1.0.0").unlink()
        with pytest.raises(StoreError, match=r"dec/query/c.1.0.0 is missing"):
            writer.finish()


def test_features_of_other_images_than_the_units_are_refused(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(40)) as writer:
        for images in (writer.images(1), writer.images(0)[:15]):
            with pytest.raises(StoreError, match="unit 0 got features of images"):
                writer.write(0, features_of(images))
        assert writer.todo == (0, 1, 2)


@pytest.mark.parametrize(("dtype", "found"), [("float32", "float32"), ("int8", "int8")])
def test_features_of_another_element_type_are_refused_naming_the_image(
    tmp_path: Path, dtype: StoredDtype, found: str
) -> None:
    with StoreWriter.open(tmp_path, make_identity(20)) as writer:
        features = features_of(writer.images(0))
        features[9] = encode_features(make_features(writer.images(0)[9]), dtype)
        message = f"image {features[9].image_id}: .* is {found}, the store holds float16; encode"
        with pytest.raises(StoreError, match=message):
            writer.write(0, features)
        assert writer.todo == (0, 1)


def test_images_that_could_not_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    identity = make_identity(20)
    with StoreWriter.open(tmp_path, identity) as writer:
        for unit in writer.todo:
            features = features_of(writer.images(unit))
            writer.write(unit, [f if f.image_id != 14 else None for f in features])
        store = Store.open(writer.finish())
    assert [image.image_id for image in store.invalid] == [14]
    assert len(store) == 19
    assert 14 not in store.image_ids
    assert store[store.position(17)].image_id == 17
    with pytest.raises(StoreError, match="has no image 14"):
        store.position(14)
    assert verify_store(store.path) == []


def test_a_unit_of_zeros_is_stored_and_read_as_zeros_also_over_another(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path, make_identity(3)) as writer:
        features = features_of(writer.images(0))
        writer.write(0, features)
        for image in features:
            image.logits.zero_()
        writer.write(0, features)
        store = Store.open(writer.finish())
    assert not store[2].logits.any()
    assert verify_store(store.path) == []
