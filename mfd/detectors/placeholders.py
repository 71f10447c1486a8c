"""Files that stand where a download should be: Git LFS pointers and saved web pages."""

from pathlib import Path

from mfd.errors import DetectorError


def refuse_placeholder(path: Path) -> None:
    """Nothing, if the file may hold weights.

    Raises:
        DetectorError: it is a Git LFS pointer, a web page or empty.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise DetectorError(f"{path} is an empty file, expected weights; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise DetectorError(
            f"{path} is a Git LFS pointer, expected the weights it stands for; run `git lfs pull` "
            "in its repository, or download the file itself"
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DetectorError(
            f"{path} is a saved web page, expected weights; download the file that the page links "
            "to"
        )
