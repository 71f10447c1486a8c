"""One store filled by several processes, each a part of it."""

import json
from pathlib import Path

import pytest

from mfd.cache import Store, StoreWriter, verify_store
from mfd.detectors import Detector, load_detector
from mfd.errors import ConfigError, StoreError
from mfd.extract import ExtractConfig, Extraction, Part, extract, image_digests, store_identity
from mfd.extract.parts import claimed_windows, windows
from mfd.locks import use_locks
from tests.builders import tiny
from tests.builders.features import features_of
from tests.builders.tiny import make_dataset

TINY = f"{tiny.__file__}:detector"
IMAGES = 16 * 4 * 2 + 20


def tiny_detector() -> Detector:
    return load_detector(TINY)


def open_writer(tmp_path: Path, root: str, part: int = 1, images: int = IMAGES) -> StoreWriter:
    dataset = make_dataset(tmp_path / "images", images)
    digests = image_digests(dataset, tmp_path)
    identity = store_identity(tiny_detector().spec, dataset, digests, split="val")
    return StoreWriter.open(tmp_path / root, identity, part=part)


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a store but those of locks and times."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name not in (".lock", ".finish.lock", *COSTS)
    }


COSTS = ("cost.json", "cost-2.json", "cost-3.json", "cost-4.json")


def fill(tmp_path: Path, root: str, part: Part) -> tuple[Extraction, list[str]]:
    """What a process of this part does, and what it says."""
    said: list[str] = []
    dataset = make_dataset(tmp_path / "images", IMAGES)
    config = ExtractConfig(workers=1)
    with open_writer(tmp_path, root, part.number) as writer:
        return extract(tiny_detector(), dataset, writer, config, said.append, part), said


def test_parts_are_given_by_name_or_told_by_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Part.parse("2/4") == Part(2, 4)
    assert Part.parse(None) == Part(1, 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Part.parse(None) == Part(2, 3)
    monkeypatch.setenv("RANK", "0")
    assert Part.parse(None) == Part(1, 3, watches=True)
    assert Part.parse("1/1") == Part(1, 1)


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "-1/4", "a/b", "", "1/0"])
def test_parts_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"no part {text!r}; expected 1/4 for the first of four"):
        Part.parse(text)


def test_every_unit_is_of_one_part_and_windows_are_not_divided() -> None:
    for count in (1, 2, 5):
        parts = [Part(number, count) for number in range(1, count + 1)]
        for window in windows(23):
            assert [{part.owns(unit) for unit in window} for part in parts].count({True}) == 1


def test_four_parts_make_the_bytes_of_one_without_any_locks(tmp_path: Path) -> None:
    """Ownership alone: each keeps to its own, the last one finds nothing left and finishes."""
    whole, _ = fill(tmp_path, "whole", Part())
    use_locks(False)
    try:
        done = [fill(tmp_path, "parts", Part(number, 4)) for number in (2, 4, 1, 3)]
    finally:
        use_locks(True)
    assert [extraction.complete for extraction, _ in done] == [False, False, False, True]
    assert [extraction.images for extraction, _ in done] == [64, 0, 64, 20]
    assert done[0][1][-1].startswith("units that other processes make or have yet to make: 6 of 10")
    path = done[-1][0].path
    assert contents(path) == contents(whole.path)
    assert verify_store(path) == []
    seconds = Store.open(path).info().seconds
    assert seconds is not None
    assert seconds > 0
    assert sum(
        json.loads(f.read_text())["record"]["seconds"] for f in path.glob("_units/cost*")
    ) == (pytest.approx(seconds))


def test_a_part_that_is_done_makes_what_others_have_not_begun(tmp_path: Path) -> None:
    done, _ = fill(tmp_path, "stores", Part(2, 3))
    assert (done.complete, done.images) == (True, IMAGES)
    assert len(Store.open(done.path)) == IMAGES
    again, _ = fill(tmp_path, "stores", Part(1, 3))
    assert (again.complete, again.images) == (True, 0)


def test_claimed_units_are_left_to_their_process_until_it_ends(tmp_path: Path) -> None:
    with open_writer(tmp_path, "stores") as mine, open_writer(tmp_path, "stores", 2) as other:
        first, second, last = windows(mine.num_units)
        own = claimed_windows(mine, Part(1, 2))
        assert next(own) == first
        others = claimed_windows(other, Part(2, 2))
        assert next(others) == second
        assert next(own) == last
        assert next(own, None) is None  # the second is being made
        assert next(others, None) is None  # and so are the first and the last
        assert [mine.has_claimed(unit) for unit in range(10)] == [True] * 4 + [False] * 4 + [
            True
        ] * 2
        with pytest.raises(StoreError, match=r"unit 9 of .* is being written by another process"):
            other.write(9, [None] * 4)
        mine.write(9, [None] * 4)
        assert not mine.has_claimed(9)
        mine.close()
        assert list(claimed_windows(other, Part(2, 2))) == [last, first]
        assert [other.has_claimed(unit) for unit in (8, 9)] == [True, False]
        other.refresh()
        assert other.todo == tuple(range(9))
    assert not list(tmp_path.glob("stores/*/_units/.unit-000009.lock"))


@pytest.mark.parametrize("dies", [False, True])
def test_the_first_of_launched_processes_stays_and_speaks_for_all(
    dies: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other makes its window while the first waits, or ends without having made it."""
    waits = []
    with open_writer(tmp_path, "stores", 2) as other:
        assert next(claimed_windows(other, Part(2, 2))) == range(4, 8)

        def work(seconds: float) -> None:
            waits.append(seconds)
            if dies:
                other.close()
            elif len(waits) > 1:
                unit, of = 2 + len(waits), other.identity
                other.write(unit, features_of(other.images(unit), of.spec, of.dtype))

        monkeypatch.setattr("mfd.extract.run.time.sleep", work)
        done, _ = fill(tmp_path, "stores", Part(1, 2, watches=True))
    assert (done.complete, done.images) == (True, IMAGES)
    assert len(waits) == (1 if dies else 5)
    shown = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"extract: {IMAGES}/{IMAGES}, ") for line in shown)
