"""The evaluations of a run: where each goes, and what it found."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from mfd.errors import ConfigError
from mfd.headtrain.runs.config import read_object
from mfd.headtrain.runs.names import is_folder_name
from mfd.headtrain.runs.run import Run

_FILE = "evaluation.json"


def evaluation_dir(run: Run, split: str, store_name: str) -> Path:
    """Where the evaluation on one split and store goes; the folder may not be there yet.

    Raises:
        ConfigError: the split is not a name.
    """
    if not is_folder_name(split):
        raise ConfigError(f"the split {split!r} is not a valid name; use letters, digits and '-'")
    return run.path / "evaluations" / f"{split}-{store_name}"


def evaluations_of(run: Run) -> list[tuple[str, dict[str, Any]]]:
    """The figures of each sound evaluation, by split and store as `SPLIT-STORE`.

    Before schema 2 there was one, of a split it did not name: it is called "unnamed".
    """
    files = sorted(run.path.glob(f"evaluations/*/{_FILE}"))
    named = [(file.parent.name, file) for file in files]
    if (old := run.path / _FILE).exists():
        named.append(("unnamed", old))
    found = []
    for name, file in named:
        with suppress(ConfigError):  # a damaged one is as good as none: it can be made again
            found.append((name, read_object(file)))
    return found


def latest_evaluation(run: Run, split: str) -> tuple[Path, dict[str, Any]]:
    """Folder and figures of the run's latest evaluation on a split.

    Raises:
        ConfigError: the run was not evaluated on it.
    """
    found = [
        (run.path / "evaluations" / name, figures)
        for name, figures in evaluations_of(run)
        if figures.get("split") == split and name != "unnamed"
    ]
    if not found:
        raise ConfigError(
            f"{run.path} has no evaluation on {split}; run `mfd evaluate {run.path} "
            f"--split {split} --baselines`"
        )
    return max(found, key=lambda each: (each[0] / _FILE).stat().st_mtime)
