"""Files that stand where a download should be: Git LFS pointers, saved web pages, empty files."""

from pathlib import Path

from mfd.errors import MfdError


def refuse_placeholder(path: Path, expected: str, refusal: type[MfdError]) -> None:
    """Nothing, if the file may hold what is expected of it.

    Args:
        path: a regular file.
        expected: what it should be, for the message, such as "an image".

    Raises:
        MfdError: `refusal`; it is a Git LFS pointer, a web page or empty.
        OSError: as the file system does.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise refusal(f"{path} is an empty file, expected {expected}; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise refusal(
            f"{path} is a Git LFS pointer, expected {expected}; run `git lfs pull` in its "
            "repository, or download the file itself"
        )
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")) and b"<svg" not in start:
        raise refusal(
            f"{path} is a saved web page, expected {expected}; download the file that the page "
            "links to"
        )
