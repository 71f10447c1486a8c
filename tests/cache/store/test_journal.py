import fcntl
import json
import random
from pathlib import Path

import pytest

from mfd.cache.format.records import FileRecord, ImageRecord
from mfd.cache.store.journal import Journal, UnitRecord
from mfd.cache.store.lock import writer_lock
from mfd.errors import StoreError
from mfd.files import json_sha256
from tests.builders.mutations import mutated_value, require_used_or_named

RECORD = UnitRecord(
    images=(ImageRecord((75, 133), ((5, 9), (3, 5)), (19, 34)), None),
    files={"enc/tokens/c.0.0.0": FileRecord(1234, (4294967295, 0))},
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "store/_units").mkdir(parents=True)
    return Journal(tmp_path / "store")


def test_a_record_is_read_as_it_was_committed(journal: Journal) -> None:
    journal.commit(7, RECORD)
    assert journal.read(7) == RECORD
    assert journal.committed() == {7}


def test_a_journal_of_another_store_is_refused(journal: Journal) -> None:
    Journal(journal.store, "ab" * 32).commit(7, RECORD)
    assert Journal(journal.store, "ab" * 32).read(7) == RECORD
    with pytest.raises(StoreError, match="another store's"):
        Journal(journal.store, "cd" * 32).read(7)


def test_a_revoked_unit_is_not_committed(journal: Journal) -> None:
    journal.commit(7, RECORD)
    journal.revoke(7)
    assert journal.committed() == set()
    with pytest.raises(StoreError, match=r"000007.json is missing"):
        journal.read(7)


def test_half_written_and_foreign_files_are_no_commits(journal: Journal) -> None:
    for name in ("000003.json.tmp", "notes.json", ".lock", "zarr.json", "cost.json"):
        (journal.folder / name).write_text("{}")
    assert journal.committed() == set()


def test_any_changed_byte_of_a_journal_is_noticed(journal: Journal) -> None:
    journal.commit(0, RECORD)
    path = journal.folder / "000000.json"
    content = path.read_bytes()
    for position in range(len(content)):
        for bit in (0, 2, 5, 7):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(StoreError, match=r"000000.json is damaged"):
                journal.read(0)


def test_a_store_has_one_writer_at_a_time(journal: Journal) -> None:
    busy = pytest.raises(StoreError, match="being written by another process")
    with writer_lock(journal.store), busy, writer_lock(journal.store):
        pass
    with writer_lock(journal.store):
        pass


@pytest.mark.parametrize("again", [False, True], ids=["removed", "removed and made again"])
def test_a_store_removed_while_its_lock_was_waited_for_is_not_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    flock = fcntl.flock

    def late(file: object, how: int) -> None:
        if how != fcntl.LOCK_UN:
            journal.store.rename(journal.store.with_name(".trash"))
            if again:
                journal.folder.mkdir(parents=True)
                (journal.folder / ".lock").touch()
        flock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    removed = pytest.raises(StoreError, match="was removed by another process")
    with removed, writer_lock(journal.store):
        pass
    assert journal.store.exists() == again


def test_the_seconds_are_read_as_they_were_written(journal: Journal) -> None:
    assert journal.read_seconds() is None
    journal.write_seconds(12.34567)
    assert journal.read_seconds() == 12.346
    path = journal.folder / "cost.json"
    path.write_text(path.read_text().replace("12", "13"))
    with pytest.raises(StoreError, match=r"cost.json is damaged"):
        journal.read_seconds()
    assert journal.committed() == set()


@pytest.mark.parametrize("seed", range(4))
def test_a_record_of_other_fields_is_named_though_its_checksum_is_right(
    seed: int, journal: Journal
) -> None:
    journal.commit(7, RECORD)
    journal.commit_index({"index/valid": "ab" * 32})
    journal.write_seconds(3.5)
    chance = random.Random(seed)
    for path in journal.folder.iterdir():
        sound = path.read_text()
        whole = json.loads(sound)["record"]
        for _ in range(50):
            record = mutated_value({"record": whole}, chance).get("record")
            path.write_text(json.dumps({"record": record, "sha256": json_sha256(record)}))
            for read in (lambda: journal.read(7), journal.read_index, journal.read_seconds):
                require_used_or_named(read, path.name)
        path.write_text(sound)
