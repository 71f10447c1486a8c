"""Writing and reading a store against zarr-python, np.save and the bare system calls, by CPU time.

    python -m benchmarks.store [--folder FOLDER] [--rounds 3] [--only mfd] [--out FILE]

One unit of 16 images of 800 x 1333 as H-DETR with a ResNet-50 has them, on one thread but where two
are said, files in the page cache. All take turns; medians of milliseconds of CPU time (of all
threads, and of the kernel) per image are printed. "encode" is the way from the detector's float32
to the stored element type and precedes every way of writing. Each write finds in the kernel's hands
what a file of the same length has just left there: a virtual machine may have to fetch other memory
from its host, which took more time than all the rest.
"""

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np
import torch
import zarr
from fastcrc.crc32 import iscsi as crc32c

from benchmarks.record import environment, write
from mfd.cache import UNIT, Store, StoreIdentity, StoreImage, StoreWriter, encode_features
from mfd.cache.format.arrays import create_arrays
from mfd.cache.format.layout import ArrayLayout, data_arrays
from mfd.cache.format.plan import make_plan
from mfd.cache.format.rows import to_rows
from mfd.config import Profile, StoredDtype
from mfd.detectors import ImageFeatures
from mfd.headtrain.presets.preset import HDETR_R50
from mfd.memory import keep_freed_memory
from mfd.prefetch import prefetch

SIZE_HW = (800, 1333)
Rows = Sequence[Mapping[str, np.ndarray]]
DTYPES: tuple[StoredDtype, ...] = ("int8", "float16")


def measured(profile: Profile, dtype: StoredDtype, folder: Path, rounds: int, only: str) -> Any:
    """Milliseconds per image of each way to encode, write and read; and MB per image."""
    names = [StoreImage(i, f"{i}.jpg", SIZE_HW, f"{i:064x}") for i in range(UNIT)]
    identity = StoreIdentity(HDETR_R50, "bench", tuple(names), profile=profile, dtype=dtype)
    plan = make_plan(HDETR_R50, dtype, names)
    layout = data_arrays(HDETR_R50, profile, dtype, UNIT, plan)
    sources = [random_features(seed, with_c1=profile == "full") for seed in range(2)]
    images = [encoded(sources[i % 2], i, dtype) for i in range(UNIT)]
    rows = [joined(image, profile, layout) for image in images]
    megabytes = sum(values.nbytes for values in rows[0].values()) / 1e6
    with StoreWriter.open(folder, identity) as writer:
        writer.write(0, images)
        store = Store.open(writer.finish())
        order = np.random.default_rng(0).permutation(UNIT).tolist()
        ways: dict[str, Callable[[], object]] = {
            "encode": lambda: [encoded(sources[i % 2], i, dtype) for i in range(UNIT)],
            "write, mfd": lambda: writer.write(0, images),
            "write, zarr-python": lambda: write_by_zarr(folder / "zarr", layout, rows),
            "write, np.save and fsync": lambda: write_by_numpy(folder / "npy", rows),
            "read, mfd": lambda: read_by_mfd(store, order),
            "read, mfd in two threads": lambda: deque(prefetch(store.__getitem__, order, 2), 0),
            "read, zarr-python": lambda: read_by_zarr(group, rows, order),
            "read, pread": lambda: preads(files, order, fresh=True),
            "read, pread into one buffer": lambda: preads(files, order, fresh=False),
            "read, the same and CRC-32C": lambda: preads(files, order, fresh=False, check=True),
        }
        write_by_zarr(folder / "zarr", layout, rows)
        group = zarr.open_group(folder / "zarr", mode="r")
        files = joined_files(folder / "flat", rows)
        places = {
            "write, mfd": store.path.name,
            "write, zarr-python": "zarr",
            "write, np.save and fsync": "npy",
        }
        spent: dict[str, list[float]] = {name: [] for name in ways if only in name}
        for _ in range(rounds):
            for name, times in spent.items():
                for _ in range(3 if name.startswith("read") else 1):
                    if name.startswith("write"):  # over no old files, whose pages would be reused
                        remove_files(folder / places[name])
                        leave_memory(folder / "left", UNIT * megabytes)
                    before = time.process_time()
                    ways[name]()
                    times.append(1e3 * (time.process_time() - before) / UNIT)
    return {"MB": megabytes} | {name: median(times) for name, times in spent.items()}


def random_features(seed: int, *, with_c1: bool) -> ImageFeatures:
    """One image's output, as the detector gives it: a view of the batch's maps."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    sizes = [tuple(-(-side // stride) for side in SIZE_HW) for stride in (4, *HDETR_R50.strides)]
    c1, *memory = (normal(h, -(-w // 8) * 8, 256)[:, :w] for h, w in sizes)
    queries, boxes, logits = normal(300, 256), torch.rand(300, 4), normal(300, 80)
    kept = c1 if with_c1 else None
    return ImageFeatures(0, SIZE_HW, SIZE_HW, queries, boxes, logits, memory, kept)


def encoded(source: ImageFeatures, image_id: int, dtype: StoredDtype) -> ImageFeatures:
    found = encode_features(source, dtype)
    found.image_id = image_id
    return found


def joined(
    image: ImageFeatures, profile: Profile, layout: Sequence[ArrayLayout]
) -> dict[str, np.ndarray]:
    """What each array has of an image, in one piece."""
    rows, _ = to_rows(image, HDETR_R50, profile, layout)
    return {name: np.concatenate(row).reshape(-1, *row[0].shape[1:]) for name, row in rows.items()}


def remove_files(folder: Path) -> None:
    """Remove the data of earlier rounds."""
    for pattern in ("*/*/c.*", "*.npy"):
        for file in folder.glob(pattern):
            file.unlink()


def leave_memory(path: Path, megabytes: float) -> None:
    """Write a file of so many bytes and remove it."""
    with path.open("wb") as file:
        for _ in range(ceil(megabytes)):
            file.write(bytes(1_000_000))
    path.unlink()


def write_by_zarr(path: Path, layout: Sequence[ArrayLayout], rows: Rows) -> None:
    """The same arrays, shards and checksums, a whole shard at a time, without fsync."""
    group = zarr.create_group(path, overwrite=True)
    create_arrays(group, layout, "none")
    for array in layout:
        target: Any = group[array.name]
        for start in range(0, UNIT, array.rows_per_file):
            block = np.zeros((array.rows_per_file, *array.shape[1:]), array.dtype)
            for place, row in zip(block, rows[start : start + len(block)], strict=True):
                values = row[array.name].reshape(-1, *array.shape[2:])
                place[: len(values)] = values
            target[start : start + len(block)] = block


def write_by_numpy(path: Path, rows: Rows) -> None:
    """One file per image and array."""
    path.mkdir(exist_ok=True)
    for i, row in enumerate(rows):
        for name, values in row.items():
            with (path / f"{name.replace('/', '-')}-{i}.npy").open("wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())


def read_by_mfd(store: Store, order: Sequence[int]) -> None:
    for i in order:
        store[i]


def read_by_zarr(group: Any, rows: Rows, order: Sequence[int]) -> None:
    for i in order:
        for name, values in rows[i].items():
            array = group[name]
            found = array[i, : len(values)] if array.ndim == 3 else array[i]
            assert found.nbytes == values.nbytes, name


def joined_files(path: Path, rows: Rows) -> list[tuple[Path, int]]:
    """A file per image with the bytes of all arrays, and its length."""
    path.mkdir()
    files = []
    for i, row in enumerate(rows):
        content = b"".join(values.tobytes() for values in row.values())
        files.append((path / str(i), (path / str(i)).write_bytes(content)))
    return files


def preads(
    files: Sequence[tuple[Path, int]], order: Sequence[int], *, fresh: bool, check: bool = False
) -> None:
    """One open and one pread per image, into new memory or into one buffer that stays."""
    kept = None
    for i in order:
        path, length = files[i]
        file = os.open(path, os.O_RDONLY)
        buffer = page_aligned(length) if fresh or kept is None else kept
        assert os.preadv(file, [buffer], 0) == length
        os.close(file)
        if check:
            crc32c(buffer.data)
        kept = None if fresh else buffer


def page_aligned(length: int) -> np.ndarray:
    """Bytes from the beginning of a page on: elsewhere the copy can take six times as long."""
    block = np.empty(length + 4096, np.uint8)
    return block[-block.ctypes.data % 4096 :][:length]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time ways to write and read stores.")
    parser.add_argument("--folder", type=Path, help="where files are written; default: a temporary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="ways whose name contains this")
    parser.add_argument("--profile", choices=get_args(Profile))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_freed_memory()  # as the commands do
    torch.set_num_threads(1)
    results = {}
    for profile, dtype in product(get_args(Profile), DTYPES):
        if options.profile in (None, profile):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                found = measured(profile, dtype, Path(folder), options.rounds, options.only)
            results[f"{profile} {dtype}"] = found
            print(f"{profile} {dtype}, {found.pop('MB'):.1f} MB an image, CPU ms an image")
            for name, milliseconds in found.items():
                print(f"    {name:30s} {milliseconds:8.2f}", flush=True)
    if options.out:
        write(options.out, {**environment("cpu"), "cpu_ms_per_image": results})


if __name__ == "__main__":
    main()
