"""What a failed download left is named in every place that reads files, not called damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mfd.coco import read_dataset
from mfd.detectors.checkpoint import read_checkpoint
from mfd.errors import MfdError
from mfd.headtrain.runs.weights import read_weights
from mfd.headtrain.training.checkpoint import load_checkpoint
from mfd.images import read_header, read_rgb


def resume(path: Path) -> object:
    layer = torch.nn.Linear(2, 2)
    return load_checkpoint(path.parent, layer, torch.optim.AdamW(layer.parameters()))


READERS: dict[str, Callable[[Path], object]] = {
    "photo.jpg": read_rgb,
    "header.png": read_header,
    "instances.json": lambda path: read_dataset(path, path.parent),
    "data.yaml": lambda path: read_dataset(path, path.parent),
    "head.safetensors": read_weights,
    "step-00000004.pt": resume,
    "detector.pth": read_checkpoint,
    "detector.safetensors": read_checkpoint,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is an empty file, expected .*; download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "is a Git LFS pointer, expected .*; run `git lfs pull`",
        ),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a saved web page, expected"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "is a saved web page, expected"),
    ],
    ids=["empty", "lfs", "page", "page with a byte order mark"],
)
def test_placeholders_are_named_by_every_reader(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MfdError, match=f"{name} {problem}"):
        READERS[name](tmp_path / name)
