"""What `mfd extract` costs beside the detector itself, by CPU time and part.

    python -m benchmarks.extraction ANNOTATIONS IMAGES --detector demo [--count 64] [--rounds 3]
        [--profile full] [--dtype float16] [--batch-size 4] [--out FILE]

The parts are run one after the other on the same images, then the whole extraction; medians of
milliseconds of CPU time per image. "detector" is its bare forward pass on batches that are there
already; the last two lines are what the whole takes beyond it, with and without decoding, which
every use of a detector needs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.record import environment, write
from mfd.cache import UNIT, StoreWriter, encode_batch
from mfd.coco import read_dataset
from mfd.config import DetectorChoice
from mfd.detectors import detect, padding_step
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from mfd.extract.features import WINDOW, load_stored
from mfd.images import LoadedImage, collate_images, equal_sizes, padded_size, parse_view
from mfd.memory import keep_freed_memory
from mfd.opening import open_detector


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds per image of each part."""
    dataset = read_dataset(options.annotations, options.images)
    dataset = replace(dataset, images=dataset.images[: options.count])
    detector = open_detector(DetectorChoice(options.detector, options.weights))
    config = ExtractConfig(batch_size=options.batch_size, workers=1)
    preprocessing, view = detector.spec.preprocessing, parse_view("base")
    digests = image_digests(dataset, Path(tempfile.mkdtemp()))
    identity = store_identity(
        detector.spec, dataset, digests, split="val", profile=options.profile, dtype=options.dtype
    )
    count, step = len(identity.images), padding_step(detector.spec)

    def decode() -> list[LoadedImage]:
        found = [load_stored(i, dataset.images_dir, preprocessing, view) for i in identity.images]
        return [image for image in found if isinstance(image, LoadedImage)]

    images = decode()
    sizes = [padded_size(image.input_hw, step) for image in images]
    groups = [
        [first + i for i in group]
        for first in range(0, count, WINDOW)
        for group in equal_sizes(sizes[first : first + WINDOW], config.batch_size)
    ]
    batches = [collate_images([images[i].pixels for i in group], step) for group in groups]
    spent: dict[str, list[float]] = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        before = time.process_time()
        result = run()
        spent.setdefault(name, []).append(1e3 * (time.process_time() - before) / count)
        return result

    def bare() -> None:
        with torch.no_grad():
            for pixels, mask in batches:
                detector(pixels.to(memory_format=torch.channels_last), mask)

    for _ in range(options.rounds):
        timed("decode", decode)
        timed("detector", bare)
        features = {
            i: image
            for group in groups
            for i, image in zip(
                group,
                detect(detector, [images[i] for i in group], group, with_c1=identity.has_c1),
                strict=True,
            )
        }
        ordered = [replace(features[i], image_id=identity.images[i].image_id) for i in features]
        encoded = timed("encode", lambda found=ordered: encode_batch(found, options.dtype))
        encoded.sort(key=lambda image: image.image_id)
        units = [encoded[first : first + UNIT] for first in range(0, count, UNIT)]
        with (
            tempfile.TemporaryDirectory() as folder,
            StoreWriter.open(Path(folder), identity) as writer,
        ):
            timed("write", lambda w=writer, u=units: [w.write(*pair) for pair in enumerate(u)])
        with (
            tempfile.TemporaryDirectory() as folder,
            StoreWriter.open(Path(folder), identity) as writer,
        ):
            timed("extract", lambda writer=writer: extract(detector, dataset, writer, config))
    return {name: median(times) for name, times in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the parts of an extraction.")
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--detector", default="demo")
    parser.add_argument("--weights")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="full")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_freed_memory()  # as the command does
    torch.set_num_threads(1)
    found = measured(options)
    bare = found["detector"]
    for name, milliseconds in found.items():
        print(f"{name:10s} {milliseconds:8.2f}")
    print(f"beyond the detector {found['extract'] / bare - 1:.1%}")
    print(f"without decoding    {(found['extract'] - found['decode']) / bare - 1:.1%}")
    if options.out:
        write(options.out, {**environment("cpu"), "cpu_ms_per_image": found})


if __name__ == "__main__":
    main()
