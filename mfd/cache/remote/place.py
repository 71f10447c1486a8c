"""Files behind a URL, through fsspec: `s3://`, `gs://`, `hf://`, `file://` and its many others."""

import errno
import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from mfd.errors import ConfigError, StoreError
from mfd.files import file_sha256
from mfd.text import first_line, short

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Place:
    """One folder behind a URL. Names are relative to it; whatever fails becomes a `StoreError`.

    Args:
        url: of the folder.

    Raises:
        ConfigError: it is no URL, has an unknown scheme, or needs a package that is absent.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.name = self.url.rpartition("/")[2]
        self._system, self._root = _opened(self.url)

    def sizes(self) -> dict[str, int]:
        """The number of bytes of each file in the folder, by name; none if there is no folder."""
        with self._refusals():
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        inside = self._root.rstrip("/") + "/"
        names = {path.removeprefix(inside): facts for path, facts in found.items()}
        return {
            n: facts["size"] for n, facts in names.items() if ".." not in PurePosixPath(n).parts
        }

    def read(self, names: Collection[str]) -> dict[str, bytes]:
        """The content of small files."""
        paths = {self._path(name): name for name in names}
        with self._refusals():
            found = self._system.cat(list(paths)) if paths else {}
        return {name: found[path] for path, name in paths.items()}

    def write(self, name: str, content: bytes) -> None:
        """Put one small file there, and see that it has arrived."""
        with self._refusals():
            self._system.pipe_file(self._path(name), content)
            arrived = self._system.cat_file(self._path(name)) == content
        if not arrived:
            raise self._not_arrived(name)

    def remove(self, name: str) -> None:
        """Delete one file."""
        with self._refusals():
            self._system.rm_file(self._path(name))

    def send(self, folder: Path, names: Sequence[str]) -> None:
        """Put files of a local folder there, and see that they have arrived."""
        with self._refusals():
            if names:
                local = [str(folder / name) for name in names]
                self._system.put(local, [self._path(name) for name in names])
        for name in names:
            if not self.holds(folder, name):
                raise self._not_arrived(name)

    def holds(self, folder: Path, name: str) -> bool:
        """Whether the file there has the content of the one in a local folder; reads both."""
        with self._refusals(), self._system.open(self._path(name), "rb") as file:
            there = hashlib.file_digest(file, "sha256").hexdigest()
        return there == file_sha256(folder / name)

    def fetch(self, folder: Path, names: Sequence[str]) -> None:
        """Copy files from there into a local folder.

        Raises:
            OSError: the local disk is full.
        """
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with self._refusals(passing=_FULL):
            if names:
                local = [str(folder / name) for name in names]
                self._system.get([self._path(name) for name in names], local)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _not_arrived(self, name: str) -> StoreError:
        return StoreError(
            f"{self.url}/{name} did not arrive as it was sent; run the same command again, and "
            "doubt the storage if it does not help"
        )

    @contextmanager
    def _refusals(self, passing: tuple[int, ...] = ()) -> Iterator[None]:
        """One line for what the storage refuses; every kind of storage has errors of its own."""
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno in passing:
                raise
            raise StoreError(
                f"{self.url} fails ({type(error).__name__}: {first_line(error)}); check the URL, "
                "your credentials and the network, then run the same command again: what has "
                "arrived is kept"
            ) from error


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(
            f"{short(url)} is no URL; give one such as s3://bucket/stores, gs://, hf:// or file://"
        )
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ConfigError(
            f"fsspec cannot be imported ({error}); install mfd with its extra, "
            "`pip install 'mfd[remote]'`"
        ) from error
    folders = {"auto_mkdir": True} if scheme in ("file", "local") else {}
    try:
        system, root = url_to_fs(url, **folders)
    except ImportError as error:
        raise ConfigError(
            f"{scheme}:// needs a further package ({first_line(error)}); install it beside mfd by "
            "pip: s3fs for s3://, gcsfs for gs://, huggingface_hub for hf://"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{short(url)} cannot be opened ({first_line(error)}); expected a scheme such as "
            "s3://, gs://, hf:// or file://"
        ) from error
    return system, root
