"""Stores behind URLs: whole or absent there and here, whatever interrupts their way."""

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
import zarr

from mfd.cache import StoreInfo, pull_store, push_store, repair_store, verify_store
from mfd.cache.remote.place import Place
from mfd.cache.store.manifest import COPY
from mfd.errors import ConfigError, MfdError, StoreError
from tests.builders.features import make_store
from tests.cache.manage.test_verify import contents

SHARD = "enc/tokens/c.1.0.0"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    pytest.importorskip("s3fs", reason="s3fs is not installed; it comes with the extra test")
    moto = pytest.importorskip("moto.server", reason="moto is not installed, nor the extra test")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["memory", "file"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty folder for stores."""
    if request.param == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        bucket = f"s3://{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        yield f"{bucket}/stores"
        return
    if request.param == "file":
        yield f"file://{tmp_path}/far away"
        return
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    if (system := fsspec.filesystem("memory")).exists(name):
        system.rm(name, recursive=True)


everywhere = pytest.mark.parametrize("url", ["memory", "file", "s3"], indirect=True)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The names of units' files that are sent, and fetched."""
    moved: dict[str, list[str]] = {"send": [], "fetch": []}
    for way, names_of in moved.items():
        move = getattr(Place, way)

        def noted(self, folder, names, move=move, names_of=names_of):  # type: ignore[no-untyped-def]
            move(self, folder, names)
            names_of += [name for name in names if name.startswith(("enc/tokens/c", "dec/box/c"))]

        monkeypatch.setattr(Place, way, noted)
    return moved


def flip(url: str, name: str) -> None:
    """Change one bit in the middle of a file."""
    with fsspec.open(f"{url}/{name}", "rb") as file:
        content = bytearray(file.read())
    content[len(content) // 2] ^= 4
    put(url, name, bytes(content))


def put(url: str, name: str, content: bytes) -> None:
    """Overwrite a file."""
    with fsspec.open(f"{url}/{name}", "wb") as file:
        file.write(content)


def interrupted(way: str, at: int, work: Callable[[], object]) -> None:
    """Do it while the network fails at the given file of units, having moved a part of it."""
    move = getattr(Place, way)
    left = [at]

    def failing(self, folder, names):  # type: ignore[no-untyped-def]
        for name in names:
            of_unit = name.startswith(("enc/", "dec/", "c1/")) and not name.endswith("zarr.json")
            if of_unit and left[0] == 0:
                if way == "send":
                    half = (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
                    self._system.pipe_file(self._path(name), half)
                else:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(self._system.cat_file(self._path(name))[:99])
                raise StoreError("the network is gone")
            left[0] -= of_unit
            move(self, folder, [name])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Place, way, failing)
        with pytest.raises(StoreError, match="the network is gone"):
            work()


@everywhere
def test_a_store_that_was_pushed_and_pulled_is_the_same_byte_for_byte(
    sound_store: Path, url: str, tmp_path: Path
) -> None:
    there = push_store(sound_store, url)
    assert there == f"{url}/{sound_store.name}"
    copy = pull_store(there, tmp_path / "stores")
    assert copy == tmp_path / "stores" / sound_store.name
    assert contents(copy) == contents(sound_store)
    assert verify_store(copy) == []
    assert sorted(p.name for p in copy.parent.iterdir()) == [copy.name]


@everywhere
def test_a_store_is_read_by_zarr_where_it_was_pushed(sound_store: Path, url: str) -> None:
    there = push_store(sound_store, url)
    ids = zarr.open_group(there, mode="r")["index/image_id"][:]
    assert ids.tolist() == zarr.open_group(sound_store, mode="r")["index/image_id"][:].tolist()


@everywhere
def test_an_interrupted_push_shows_no_store_and_resends_nothing_that_has_arrived(
    sound_store: Path, url: str, tmp_path: Path, traffic: dict[str, list[str]]
) -> None:
    for at in (0, 3, 9):
        interrupted("send", at, lambda: push_store(sound_store, url))
        with pytest.raises(StoreError, match=r"half sent: run `mfd cache push` again"):
            pull_store(f"{url}/{sound_store.name}", tmp_path / "stores")
    there = push_store(sound_store, url)
    assert len(traffic["send"]) == len(set(traffic["send"])) == 2 * 3
    assert contents(pull_store(there, tmp_path / "stores")) == contents(sound_store)
    traffic["send"].clear()
    push_store(sound_store, url, check=True)
    assert traffic["send"] == []


@everywhere
def test_an_interrupted_pull_leaves_an_unfinished_store_and_refetches_nothing(
    sound_store: Path, url: str, tmp_path: Path, traffic: dict[str, list[str]]
) -> None:
    there, path = push_store(sound_store, url), tmp_path / "stores" / sound_store.name
    for at in (0, 4, 9):
        interrupted("fetch", at, lambda: pull_store(there, path.parent))
        assert not StoreInfo.read(path).complete
        assert verify_store(path) == []
    pull_store(there, path.parent)
    assert len(traffic["fetch"]) == len(set(traffic["fetch"])) == 2 * 3
    assert contents(path) == contents(sound_store)


def test_a_flipped_byte_there_is_never_pulled_and_mended_by_a_checking_push(
    sound_store: Path, url: str, tmp_path: Path, traffic: dict[str, list[str]]
) -> None:
    there = push_store(sound_store, url)
    for name in (SHARD, "_units/000001.json", "index/hw/c.0.0", "zarr.json", "_units/index.json"):
        flip(there, name)
        said = rf"{name} .*; run `mfd cache push --check` where the store came from"
        with pytest.raises(StoreError, match=said) as refusal:
            pull_store(there, tmp_path / "stores")
        assert there in str(refusal.value)
        assert "\n" not in str(refusal.value)
        traffic["send"].clear()
        push_store(sound_store, url, check=True)
        assert traffic["send"] == ([SHARD] if name == SHARD else [])
    assert contents(pull_store(there, tmp_path / "stores")) == contents(sound_store)


def test_a_byte_that_flips_on_its_way_is_noticed_by_the_push(
    sound_store: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = Place.holds

    def after_a_flip(self, folder, name):  # type: ignore[no-untyped-def]
        if name == SHARD:
            flip(self.url, name)
        return holds(self, folder, name)

    monkeypatch.setattr(Place, "holds", after_a_flip)
    with pytest.raises(StoreError, match=f"{SHARD} did not arrive as it was sent; run the same"):
        push_store(sound_store, url)
    with pytest.raises(StoreError, match="half sent"):
        pull_store(f"{url}/{sound_store.name}", tmp_path / "stores")


def test_damaged_units_of_a_pulled_store_are_pulled_again(
    sound_store: Path, url: str, tmp_path: Path, traffic: dict[str, list[str]]
) -> None:
    there = push_store(sound_store, url)
    copy = pull_store(there, tmp_path / "stores")
    flip(f"file://{copy}", SHARD)
    repair_store(copy, verify_store(copy))
    traffic["fetch"].clear()
    pull_store(there, copy.parent)
    assert traffic["fetch"] == [SHARD]
    assert contents(copy) == contents(sound_store)


def test_a_damaged_or_unfinished_store_is_not_pushed(
    store_path: Path, url: str, tmp_path: Path
) -> None:
    flip(f"file://{store_path}", SHARD)
    with pytest.raises(StoreError, match=rf"{SHARD} is damaged .*mfd cache verify --repair"):
        push_store(store_path, url)
    repair_store(store_path, verify_store(store_path))
    with pytest.raises(StoreError, match="is unfinished; run `mfd extract` again"):
        push_store(store_path, url)


def test_another_store_of_the_same_name_is_never_mixed_in(
    sound_store: Path, url: str, tmp_path: Path
) -> None:
    other = make_store(tmp_path / "others", split="val").rename(tmp_path / sound_store.name)
    there = push_store(sound_store, url)
    with pytest.raises(StoreError, match="is another store than"):
        push_store(other, url)
    with pytest.raises(StoreError, match="is another store than"):
        pull_store(there, tmp_path)
    assert verify_store(other) == []


def test_a_damaged_manifest_there_is_mended_by_a_push_if_other_files_say_whose_it_is(
    sound_store: Path, url: str
) -> None:
    there = push_store(sound_store, url)
    manifest = (sound_store / COPY).read_bytes()
    identity = StoreInfo.read(sound_store).identity_sha256.encode()
    damaged = manifest.replace(identity, identity.swapcase())
    for content in (damaged, manifest[:-99], b"[]", b'{"checksum": 3}', b"\xff"):
        put(there, COPY, content)
        push_store(sound_store, url)
        assert fsspec.open(f"{there}/{COPY}").open().read() == manifest
    system, root = fsspec.url_to_fs(there)
    for name in system.find(root):
        system.rm_file(name)
    put(there, COPY, damaged)
    said = rf"{there}/{COPY} is damaged, and no other .*; remove what is there, or push to another"
    with pytest.raises(StoreError, match=said):
        push_store(sound_store, url)
    assert [name.removeprefix(root) for name in system.find(root)] == [f"/{COPY}"]


def test_a_pull_names_the_stores_of_a_folder(sound_store: Path, url: str, tmp_path: Path) -> None:
    push_store(sound_store, url)
    with pytest.raises(StoreError, match=rf"no whole store .*such as \.\.\./{sound_store.name}"):
        pull_store(url, tmp_path)
    with pytest.raises(StoreError, match="give the URL that `mfd cache push` printed"):
        pull_store(f"{url}/none", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nowhere://x/y", "scheme such as s3://"),
        ("/just/a/path", "is no URL; give one such as s3://bucket/stores"),
        ("gs://bucket/x", "gcsfs for gs://"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_in_one_line(
    wrong: str, said: str, sound_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for attempt in (lambda: push_store(sound_store, wrong), lambda: pull_store(wrong, tmp_path)):
        with pytest.raises(ConfigError, match=said) as refusal:
            attempt()
        assert "\n" not in str(refusal.value)


def test_a_missing_extra_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigError, match=r"pip install 'mfd\[remote\]'"):
        pull_store("file:///x", tmp_path)


def test_a_storage_that_refuses_is_said_in_one_line(sound_store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MfdError, match=r"fails .*check the URL, your credentials") as refusal:
        push_store(sound_store, f"file://{tmp_path}/file")
    assert "\n" not in str(refusal.value)
