"""Errors of code that is not ours, such as a custom detector's, in one line with their place."""

import sysconfig
import traceback
from pathlib import Path

import mfd
from mfd.text import first_line

_NOT_THEIRS = (str(Path(mfd.__file__).parent), sysconfig.get_paths()["purelib"], "<frozen ")


def described(error: BaseException) -> str:
    """What was raised and where: `ValueError: no such file (own.py, line 3)`."""
    what = type(error).__name__
    if str(error):
        what = f"{what}: {first_line(error)}"
    if isinstance(error, SyntaxError):  # says its place itself
        return what
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)]
    if not theirs:
        return what
    return f"{what} ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})"
