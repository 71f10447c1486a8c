"""kill -9 at any moment, of 1 to 4 processes, loses no finished unit and changes no byte."""

import json
import subprocess
import sys
from pathlib import Path

import mfd
from mfd.cache import Store

KILLS = 15


def files(root: Path) -> dict[str, bytes]:
    """The content of every file of the only store under `root`."""
    (store,) = (path.parent for path in root.glob("[!.]*/zarr.json"))  # others died half created
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and not path.name.startswith(("cost", ".finish"))  # seconds, a lock
    }


def test_killed_extractions_resume_to_the_bytes_of_an_uninterrupted_one(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.extract.kill_driver", str(tmp_path), str(KILLS)],
        cwd=Path(mfd.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    units = report["units_after_kill"]
    assert len(units) == KILLS
    assert len(set(units)) > 3, f"the kills came at too similar moments: {units}"
    assert len(set(report["killed"])) > 2, f"too similar numbers of processes: {report['killed']}"
    whole = files(tmp_path / "whole")
    assert len(Store.open(next((tmp_path / "whole").glob("*/zarr.json")).parent)) == 277
    for i in range(report["stores"]):
        killed = files(tmp_path / f"killed-{i}")
        assert set(killed) == set(whole)
        assert [name for name in whole if killed[name] != whole[name]] == []
