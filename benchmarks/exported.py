"""Mask AP of exported ONNX files beside that of PyTorch, and their largest difference.

    python -m benchmarks.exported RUN --data COCO [--store STORE] [--images N]

RUN is the folder of a run after `mfd export`. The head is evaluated on a store, or on its detector
at work; the model in `model.onnx`, where there is one, on the image files. One image at a time.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from mfd.cache import Store
from mfd.coco import CocoDataset, match_categories, read_dataset, split_paths
from mfd.detectors import DetectorSpec, load_detector, padding_step
from mfd.export.check import check_agreement
from mfd.export.onnx import run_onnx
from mfd.export.parts import head_part, image_part
from mfd.export.picture import without_picture
from mfd.headtrain import FeatureBatch, Features, LiveFeatures, MaskHead, Run, evaluate
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth
from mfd.headtrain.evaluation.results import Entry
from mfd.headtrain.head.model import HeadOutput
from mfd.headtrain.inference.paste import paste_mask
from mfd.images import collate_images, load_image
from mfd.nn import xyxy_to_cxcywh

COMPARED = 20


class ExportedHead(MaskHead):
    """`head.onnx` in the place of the head that it was made from."""

    def __init__(self, head: MaskHead, file: Path) -> None:
        super().__init__(head.config, head.spec)
        self._run = run_onnx(file.read_bytes())

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        maps = [*batch.memory, *([] if batch.c1 is None or not self.config.use_c1 else [batch.c1])]
        (masks, quality, frames), _ = self._run(
            batch.queries[None], batch.boxes[None], batch.input_hw[0], *(m.float() for m in maps)
        )
        logits = masks if self.config.paste == "logits" else torch.logit(masks)
        return HeadOutput(logits[0], xyxy_to_cxcywh(frames[0]), quality[0])


def model_entries(content: bytes, spec: DetectorSpec, dataset: CocoDataset) -> Iterator[Entry]:
    """What the model of a file detects in every image, as COCO's results."""
    session = onnxruntime.InferenceSession(content)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["mfd"])
    for entry in dataset.images:
        image = load_image(dataset.path(entry), spec.preprocessing)
        pixels, _ = collate_images([image.pixels], padding_step(spec))
        inputs = {"images": pixels.numpy(), "image_hw": np.array(image.input_hw)}
        answers = (torch.from_numpy(value[0]) for value in session.run(None, inputs))
        _, scores, labels, _, quality, masks, frames = answers
        height, width = entry.size_hw
        frames = frames.double() * torch.tensor([width, height] * 2)
        for label, score, mask, frame in zip(labels, scores * quality, masks, frames, strict=True):
            yield {
                "image_id": entry.image_id,
                "category_id": int(label),
                "score": float(score),
                "segmentation": paste_mask(mask, frame, entry.size_hw, facts["threshold"]),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--images", type=int)
    args = parser.parse_args()

    run = Run.open(args.run)
    folder, head, spec = run.path / "export", run.load_head(), run.spec
    dataset = read_dataset(*split_paths(args.data, "val"))
    dataset = replace(dataset, images=dataset.images[: args.images])
    dataset = match_categories(dataset, spec.category_ids, spec.names).dataset
    choice = run.config.detector
    features: Features = (
        Store.open(args.store)
        if args.store
        else LiveFeatures(load_detector(choice.name, choice.weights), dataset)
    )
    models = {"PyTorch": head}
    if (file := folder / "head.onnx").exists():
        samples = [features[position] for position in range(min(COMPARED, len(features)))]
        difference = check_agreement(head_part(head, samples), run_onnx(file.read_bytes()))
        print(f"head.onnx: differs by at most {difference:.1e} on {len(samples)} images")
        models["head.onnx"] = ExportedHead(head, file)
    for name, model in models.items():
        started = time.perf_counter()
        figures = evaluate(model, features, dataset)["masks"]
        seconds = time.perf_counter() - started
        print(f"{name}: mask AP {figures.ap:.5f}, {len(dataset.images)} images in {seconds:.0f} s")
    if (folder / "model.onnx").exists():
        detector = load_detector(choice.name, choice.weights)
        paths = [dataset.path(entry) for entry in dataset.images[:COMPARED]]
        images = [load_image(path, spec.preprocessing) for path in paths]
        content = without_picture((folder / "model.onnx").read_bytes())
        difference = check_agreement(image_part(detector, head, images), run_onnx(content))
        print(f"model.onnx: differs by at most {difference:.1e} on {len(images)} images")
        truth = ground_truth(dataset, "segm")
        figures = average_precision(truth, list(model_entries(content, spec, dataset)), "segm")
        print(f"model.onnx: mask AP {figures.ap:.5f}")


if __name__ == "__main__":
    main()
