"""Where a new run goes, and which folder a name stands for."""

from pathlib import Path

from mfd.errors import ConfigError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "head.safetensors"
LOCK_FILE = ".lock"

# What a run that was killed before its first step can leave.
_LEFTOVERS = {LOCK_FILE, f"{CONFIG_FILE}.tmp"}


def run_dir(runs: Path, name: str) -> Path:
    """The folder of the run of this name.

    Raises:
        ConfigError: it is not the name of a visible folder directly under `runs`.
    """
    if not is_folder_name(name):
        raise ConfigError(
            f"--run takes a name of letters, digits and '-', found {name!r}; --runs says where "
            "runs are"
        )
    return runs / name


def is_folder_name(name: str) -> bool:
    """Whether it names a visible folder: no path, and nothing that cannot be printed."""
    return Path(name).name == name != "" and not name.startswith(".") and name.isprintable()


def new_run_dir(runs: Path, name: str | None, stem: str) -> Path:
    """The folder of a new run: its name, or the first free number after `stem`.

    Raises:
        ConfigError: the name cannot be used, or its folder is in use.
    """
    if name is None:
        number = 1
        while not _is_free(folder := run_dir(runs, f"{stem}-{number}")):
            number += 1
        return folder
    folder = run_dir(runs, name)
    if (folder / CONFIG_FILE).exists():
        raise ConfigError(
            f"{folder} already holds a run; resume it by --resume, or choose another name"
        )
    if not _is_free(folder):
        raise ConfigError(f"{folder} exists but is not an mfd run; choose another --run")
    return folder


def _is_free(folder: Path) -> bool:
    if not folder.is_dir():
        return not folder.exists() and not folder.is_symlink()
    return {file.name for file in folder.iterdir()} <= _LEFTOVERS


def run_dirs(runs: Path) -> list[Path]:
    """The folders under `runs` that hold a run or a head, the most recently started last."""
    started = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        try:
            started.append(((folder / CONFIG_FILE).stat().st_mtime_ns, folder))
        except OSError:  # no run, a broken link, or another user's
            continue
    return [folder for _, folder in sorted(started)]
