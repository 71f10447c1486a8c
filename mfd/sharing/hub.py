"""Repositories of the Hugging Face Hub: upload on demand, download by `hf://user/repository`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mfd.errors import ConfigError
from mfd.text import first_line

SCHEME = "hf://"
# what a head's folder holds; nothing else of a repository is downloaded
_FILES = [
    "config.json",
    "head.safetensors",
    "detector.safetensors",
    "cost.json",
    "evaluations/*/evaluation.json",
    "README.md",
]
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def fetch(address: str) -> Path:
    """The folder of a shared head, downloaded if it is not in the Hub's cache.

    Args:
        address: `hf://user/repository`, or `hf://user/repository@revision`.

    Raises:
        ConfigError: no such repository, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = address.removeprefix(SCHEME).partition("@")
    _check_name(name)
    with _said(f"{address} cannot be downloaded"):
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=_FILES))


def push(folder: Path, name: str, *, private: bool = False) -> str:
    """Upload a head's folder into a repository, made if it is not there; the address of the page.

    Args:
        folder: of `save_folder`.
        name: `user/repository`.
        private: of a repository that is made.

    Raises:
        ConfigError: the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    _check_name(name)
    hub = HfApi()
    with _said(f"{name} cannot be uploaded"):
        hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=_FILES,
            commit_message="Upload a mask head of mfd",
        )
    return f"{hub.endpoint}/{name}"


def _check_name(name: str) -> None:
    if not _REPOSITORY.fullmatch(name):
        raise ConfigError(f"{name!r} is no repository of the Hub; expected user/repository")


@contextmanager
def _said(what: str) -> Iterator[None]:
    """A context in which what the Hub's client raises is said in one line."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled) as e:
        raise ConfigError(
            f"{what} ({first_line(e)}); check its name, your network, and `hf auth login`"
        ) from e
