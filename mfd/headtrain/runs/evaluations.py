"""The evaluation that is meant where a run is named and a split."""

from pathlib import Path
from typing import Any

from mfd.errors import ConfigError
from mfd.headtrain.runs.run import EVALUATION_FILE, Run


def latest_evaluation(run: Run, split: str) -> tuple[Path, dict[str, Any]]:
    """Folder and figures of the run's latest evaluation on a split.

    Raises:
        ConfigError: the run was not evaluated on it.
    """
    by_name = dict(run.evaluations())
    folders = [
        folder
        for folder in run.path.glob("evaluations/*/")
        if by_name.get(folder.name, {}).get("split") == split
    ]
    if not folders:
        raise ConfigError(
            f"{run.path} has no evaluation on {split}; run `mfd evaluate {run.path} "
            f"--split {split} --baselines`"
        )
    folder = max(folders, key=lambda path: (path / EVALUATION_FILE).stat().st_mtime)
    return folder, by_name[folder.name]
