"""Run folders: where a new one goes, and which one is meant."""

from collections.abc import Iterable
from pathlib import Path

from mfd.errors import ConfigError


def new_run_dir(runs: Path, name: str | None, stem: str) -> Path:
    """The folder of a new run: its name, or the first free number behind `stem`.

    Raises:
        ConfigError: the name is a path, or its folder holds something.
    """
    if name is None:
        number = 1
        while (folder := runs / f"{stem}-{number}").exists():
            number += 1
        return folder
    folder = _run_dir(runs, name)
    if (folder / "config.json").exists():
        raise ConfigError(
            f"{folder} already holds a run; go on with it by --resume, or name another one"
        )
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} holds something that is no run; give another --run")
    return folder


def begun_run_dir(runs: Path, name: str | None) -> Path:
    """The folder of the run of this name, or of the latest one that is unfinished.

    Raises:
        ConfigError: there is none.
    """
    if name is None:
        return latest_run(runs, finished=False)
    folder = _run_dir(runs, name)
    if not (folder / "config.json").exists():
        raise ConfigError(f"there is no run {folder} to go on with; begin it without --resume")
    return folder


def _run_dir(runs: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ConfigError(f"--run takes a name, found {name!r}; --runs says where runs are")
    return runs / name


def latest_run(runs: Path, *, finished: bool) -> Path:
    """The youngest run that has its head, or the youngest that still lacks it.

    Raises:
        ConfigError: there is none.
    """
    folders: Iterable[Path] = runs.iterdir() if runs.is_dir() else ()
    begun = [folder for folder in folders if (folder / "config.json").exists()]
    begun.sort(key=lambda run: (run / "config.json").stat().st_mtime_ns)
    found = [run for run in begun if (run / "head.safetensors").exists() == finished]
    if found:
        return found[-1]
    if not finished:
        raise ConfigError(f"there is no unfinished run under {runs}; begin one without --resume")
    cure = f"{begun[-1]} goes on by `mfd train-head --resume`" if begun else "run `mfd train-head`"
    raise ConfigError(f"there is no finished run under {runs}; {cure}")


def find_run(runs: Path, name: Path | None) -> Path:
    """The folder of a run given by name or path; the latest finished one by default.

    Raises:
        ConfigError: there is none.
    """
    if name is None:
        return latest_run(runs, finished=True)
    for folder in (runs / name, name):
        if (folder / "config.json").exists():
            return folder
    raise ConfigError(f"there is no run {name} here or under {runs}")
