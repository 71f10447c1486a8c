"""A data set as it was parsed, kept for the next command: COCO's own takes half a minute to parse.

A file holds a checksum, a line of JSON and the columns, nothing that could be executed. Whatever is
wrong with it, it is as good as absent: it can be made again at any time.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi as crc32c
from jaxtyping import Shaped

from mfd.coco.annotations import Annotations, Ragged
from mfd.coco.dataset import CocoDataset
from mfd.coco.federated import Federated
from mfd.coco.records import ImageEntry
from mfd.console import say
from mfd.distributed import launched
from mfd.files import file_sha256, write_if_ours

_PARSER = 2  # raised whenever another data set, or another text, comes out of the same file
_MIN_BYTES = 2**22  # of a file that takes longer to parse than to look for
_ALIGNED = 8
_CRC_BYTES = 4

Column = Shaped[np.ndarray, "..."]


class Source:
    """An annotation file, and the state it was in before it was read."""

    def __init__(self, file: Path, images_dir: Path) -> None:
        self.file, self.images_dir = file, images_dir
        try:
            status = os.stat(file)
            self.state = [status.st_size, status.st_mtime_ns]
        except OSError:
            self.state = [0, 0]

    def memory(self, folder: Path) -> Path:
        """Where it is remembered."""
        names = "\0".join(map(os.path.realpath, (self.file, self.images_dir)))
        return folder / f".annotations-{hashlib.sha256(names.encode()).hexdigest()[:12]}.bin"

    def is_that_of(self, head: Mapping[str, Any]) -> bool:
        """Whether what was parsed is this file, and file names were read as they would be now."""
        if (head["parser"], head["images_dir"]) != (_PARSER, os.path.abspath(self.images_dir)):
            return False
        return head["state"] == self.state or head["sha256"] == file_sha256(self.file)


def recall(folder: Path, source: Source) -> CocoDataset | None:
    """What `remember` kept of the file in this folder; None if it has changed, or nothing was."""
    if source.state[0] < _MIN_BYTES:
        return None
    try:
        with source.memory(folder).open("rb") as file:
            checksum, line = file.read(_CRC_BYTES), file.readline()
            head = json.loads(line)
            if not source.is_that_of(head):
                return None
            body = file.read()
        if crc32c(body, crc32c(line)) != int.from_bytes(checksum):
            return None
        dataset = _unpacked(source, head, _arrays(head["arrays"], body))
    except (OSError, ValueError, LookupError, TypeError):  # damaged, or not ours to read
        return None
    if head["state"] != source.state:  # touched: hashed once, not by every command from now on
        remember(folder, source, dataset)
    return dataset


def remember(folder: Path, source: Source, dataset: CocoDataset) -> None:
    """Keep what was parsed, unless the folder is not ours to write; a full disk is said."""
    if source.state[0] < _MIN_BYTES or launched()[0] > 0:
        return
    arrays = _packed(dataset)
    head = {
        "parser": _PARSER,
        "images_dir": os.path.abspath(source.images_dir),
        "state": source.state,
        "sha256": dataset.file_sha256,
        "categories": list(dataset.categories.items()),
        "skipped": dataset.skipped,
        "federated": dataset.federated and dataset.federated.to_json(),
        "arrays": {name: (str(a.dtype), a.shape) for name, a in arrays.items()},
    }
    body = [each for a in arrays.values() for each in (a.data, bytes(-a.nbytes % _ALIGNED))]
    line = json.dumps(head).encode() + b"\n"
    checksum = crc32c(line)
    for piece in body:
        checksum = crc32c(piece, checksum)
    memory = source.memory(folder)
    try:
        write_if_ours(memory, checksum.to_bytes(_CRC_BYTES), line, *body)
    except OSError as error:
        say(f"{memory} cannot be written ({error.strerror}); the next command parses again")


def _packed(dataset: CocoDataset) -> dict[str, Column]:
    """Everything of the data set that there is much of, by name."""
    names = "\0".join(image.file_name for image in dataset.images).encode()
    arrays: dict[str, Column] = {
        "images.ids": np.array([image.image_id for image in dataset.images], np.int64),
        "images.sizes": np.array([image.size_hw for image in dataset.images], np.int64),
        "images.names": np.frombuffer(names, np.uint8),
    }
    for field in fields(Annotations):
        column = getattr(dataset.annotations, field.name)
        if isinstance(column, Ragged):
            arrays[f"{field.name}.bounds"], column = column.bounds, column.values
        arrays[field.name] = column
    return arrays


def _arrays(described: Mapping[str, tuple[str, list[int]]], body: bytes) -> dict[str, Column]:
    """The arrays in the body, which they share."""
    arrays, start = {}, 0
    for name, (dtype, shape) in described.items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(body, dtype, count, start).reshape(shape)
        start += arrays[name].nbytes + -arrays[name].nbytes % _ALIGNED
    return arrays


def _unpacked(source: Source, head: Mapping[str, Any], arrays: Mapping[str, Column]) -> CocoDataset:
    names = arrays["images.names"].tobytes().decode().split("\0")
    ids, sizes = arrays["images.ids"].tolist(), arrays["images.sizes"].tolist()
    columns: dict[str, Any] = {
        field.name: Ragged(arrays[field.name], bounds) if bounds is not None else arrays[field.name]
        for field in fields(Annotations)
        for bounds in [arrays.get(f"{field.name}.bounds")]
    }
    return CocoDataset(
        annotations_file=source.file,
        images_dir=source.images_dir,
        images=tuple(
            ImageEntry(image_id, name, (height, width))
            for image_id, name, (height, width) in zip(ids, names, sizes, strict=True)
        ),
        categories=dict(head["categories"]),
        annotations=Annotations(**columns),
        skipped=tuple((kind, text) for kind, text in head["skipped"]),
        federated=head["federated"] and Federated.from_json(head["federated"]),
        file_sha256=head["sha256"],
    )
