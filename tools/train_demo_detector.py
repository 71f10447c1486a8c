"""Train the `demo` detector from nothing on generated pictures; its weights go into the package.

    python tools/train_demo_detector.py --out mfd/extract/demo.safetensors

Everything is drawn from `--seed`, no picture is seen twice, and no picture of `mfd demo` is seen at
all. Every decoder layer is supervised one-to-one (its first queries) and one-to-many (its extra
ones, H-DETR, arXiv:2207.13080), the encoder's proposals one-to-many. Classification learns the IoU
of the predicted box (varifocal loss, arXiv:2008.13367), which ranks detections better than a
label. Beside the weights, a JSON file of the same name keeps the configuration, the log and the
AP on pictures that were not trained on.
"""

import argparse
import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel

from mfd.demo import CATEGORIES, SceneConfig, compose, generate
from mfd.detector import DetectorSpec, Preprocessing, top_detections
from mfd.extract.deformable import DeformableDetr, Predictions
from mfd.extract.demo import demo_network, save_demo
from mfd.headtrain.boxes import cxcywh_to_xyxy
from mfd.headtrain.matching import matching_cost

COLUMNS = {category_id: column for column, category_id in enumerate(sorted(CATEGORIES))}
PREPROCESSING = Preprocessing(shorter_side=192, longer_side=288)
SMALL_SIDES = (160, 192)
VARIFOCAL_ALPHA = 0.75
CLASS_WEIGHT, L1_WEIGHT, GIOU_WEIGHT = 2.0, 5.0, 2.0
EVALUATION_SEED = 4_000_000  # of pictures that only measure


@dataclass(frozen=True)
class Settings:
    """Everything that changes the result."""

    seed: int = 0
    steps: int = 3200
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    extra_queries: int = 60
    repeats_tokens: int = 4  # objects per ground truth among the encoder's tokens
    repeats_extra: int = 5  # and among the extra queries
    small_part: float = 0.6  # of the steps on smaller pictures, which cost half
    threads: int = 1


@dataclass
class Batch:
    """Normalised pictures of almost equal size, and their objects (crowds are left out)."""

    images: Float[Tensor, "B 3 H W"]
    padding: Bool[Tensor, "B H W"]
    columns: list[Int[Tensor, " n"]]
    boxes: list[Float[Tensor, "n 4"]]  # cxcywh, relative to the picture without padding


def main() -> None:
    """Parse the flags, train, write weights and log."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--init", type=Path, help="weights to begin with instead of random ones")
    parser.add_argument("--val-images", type=int, default=150)
    parser.add_argument("--evaluate-every", type=int, default=500, help="steps")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    flags = vars(parser.parse_args())
    settings = Settings(**{name: flags[name] for name in asdict(Settings())})
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), num_train=0, num_val=flags["val_images"], seed=EVALUATION_SEED)
        train(settings, flags["out"], Path(folder), flags["evaluate_every"], flags["init"])


def train(
    settings: Settings, out: Path, val_root: Path, evaluate_every: int, init: Path | None
) -> None:
    """Train and write; the average of the weights over the last steps is what is kept."""
    network = demo_network(len(COLUMNS), settings.extra_queries)
    if init is not None:
        load_earlier(network, init)
    network = network.to(memory_format=torch.channels_last).train()
    average = AveragedModel(network, avg_fn=_moving_average(settings.ema_decay), use_buffers=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings))
    log: list[dict[str, float]] = []
    started = time.perf_counter()
    for step, batch in enumerate(batches(settings), start=1):
        losses = detection_losses(network(batch.images, batch.padding), batch, settings)
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        if step % 50 == 0:
            shown = {name: round(value.item(), 4) for name, value in losses.items()}
            log.append({"step": step, "seconds": round(time.perf_counter() - started), **shown})
            print(json.dumps(log[-1]), flush=True)
        if step % evaluate_every == 0 or step == settings.steps:
            metrics = evaluate(average.module, val_root)
            print(json.dumps(metrics), flush=True)
            save_demo(average.module, demo_spec(), out)
            report = {"settings": asdict(settings), "step": step, **metrics, "log": log}
            if init is not None:
                report["init"] = json.loads(init.with_suffix(".json").read_text())
            out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def load_earlier(network: DeformableDetr, path: Path) -> None:
    """Take the weights of an earlier run; extra queries, which are not kept, stay random."""
    state = load_file(path)
    content = network.decoder.content.weight.detach().clone()
    content[: network.config.num_queries] = state["decoder.content.weight"]
    network.load_state_dict({**state, "decoder.content.weight": content})


@functools.cache
def demo_spec() -> DetectorSpec:
    """What the trained detector says of itself."""
    network = demo_network(len(COLUMNS))
    config = network.config
    return DetectorSpec(
        name="demo",
        dim=config.dim,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=tuple(COLUMNS),
        c1_channels=network.backbone.c1_channels,
        weights_digest="",
        preprocessing=PREPROCESSING,
        encoder_layer=config.encoder_layers,
    )


def _rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then half a cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / (settings.steps - settings.warmup_steps)
    return max(0.5 * (1 + math.cos(math.pi * done)), 0.01)


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential average that follows quickly at first."""

    def update(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        return average + (1 - keep) * (value - average)

    return update


def batches(settings: Settings) -> Iterator[Batch]:
    """`settings.steps` batches, each drawn in a thread while the one before is trained on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw_batch, settings, 0)
        for step in range(1, settings.steps + 1):
            batch = coming.result()
            coming = pool.submit(draw_batch, settings, step)
            yield batch


def draw_batch(settings: Settings, step: int) -> Batch:
    """Pictures composed at a scale of their own, then resized to about one common size."""
    rng = np.random.default_rng([settings.seed + 2**31, step])
    shorter, longer = PREPROCESSING.shorter_side, PREPROCESSING.longer_side
    if step < settings.small_part * settings.steps:
        shorter, longer = SMALL_SIDES
    common = np.array([shorter, rng.integers(shorter, longer + 1)])
    if rng.uniform() < 0.4:
        common = common[::-1]
    images = torch.zeros(settings.batch, 3, *common.tolist())
    padding = torch.ones(settings.batch, *common.tolist(), dtype=torch.bool)
    columns, boxes = [], []
    for index in range(settings.batch):
        height, width = (common - rng.integers(0, 9, 2)).tolist()
        composed = np.round(np.array([height, width]) * rng.uniform(0.83, 1.17)).astype(int)
        scene = compose(rng, tuple(composed.tolist()), SceneConfig())
        resized = Image.fromarray(scene.image).resize((width, height), Image.Resampling.BILINEAR)
        images[index, :, :height, :width] = _normalised(resized)
        padding[index, :height, :width] = False
        objects = [item for item in scene.objects if not item.iscrowd]
        columns.append(torch.tensor([COLUMNS[item.category_id] for item in objects]).long())
        found = np.array([_box(item.mask) for item in objects], dtype=np.float32)
        boxes.append(torch.from_numpy(found).view(-1, 4))
    return Batch(images.contiguous(memory_format=torch.channels_last), padding, columns, boxes)


def _normalised(picture: Image.Image) -> Float[Tensor, "3 H W"]:
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    mean, std = torch.tensor(PREPROCESSING.mean), torch.tensor(PREPROCESSING.std)
    return (values - mean[:, None, None]) / std[:, None, None]


def _box(mask: np.ndarray) -> tuple[float, ...]:
    """The mask's box, cxcywh relative to the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, y1 = rows[0] / mask.shape[0], (rows[-1] + 1) / mask.shape[0]
    x0, x1 = columns[0] / mask.shape[1], (columns[-1] + 1) / mask.shape[1]
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def detection_losses(found: Predictions, batch: Batch, settings: Settings) -> dict[str, Tensor]:
    """Class, L1 and GIoU losses, summed over the sets of predictions that are supervised."""
    tokens = found.selection
    assert tokens.all_boxes is not None
    groups = [(tokens.logits, tokens.all_boxes, settings.repeats_tokens)]
    count = found.logits.shape[2] - settings.extra_queries
    for logits, boxes in zip(found.logits, found.boxes, strict=True):
        groups.append((logits[:, :count], boxes[:, :count], 1))
        if settings.extra_queries:
            groups.append((logits[:, count:], boxes[:, count:], settings.repeats_extra))
    matches = match_groups(groups, batch)
    terms = [
        group_losses(logits, boxes, matched, batch, focus=1.0 if repeats == 1 else 2.0)
        for (logits, boxes, repeats), matched in zip(groups, matches, strict=True)
    ]
    names = ("class", "l1", "giou")
    return {name: torch.stack([term[i] for term in terms]).sum() for i, name in enumerate(names)}


Matches = list[tuple[Int[Tensor, " m"], Int[Tensor, " m"]]]
"""For each image the indices of predictions and of the objects they match."""


@torch.no_grad()
def match_groups(groups: list[tuple[Tensor, Tensor, int]], batch: Batch) -> list[Matches]:
    """Hungarian matching of every set of predictions, each object `repeats` times."""
    spec = demo_spec()
    sizes = [logits.shape[1] for logits, _, _ in groups]
    matches: list[Matches] = [[] for _ in groups]
    for image, (columns, boxes) in enumerate(zip(batch.columns, batch.boxes, strict=True)):
        logits = torch.cat([group[0][image] for group in groups])
        predicted = torch.cat([group[1][image] for group in groups])
        cost = matching_cost(logits, predicted, columns, boxes, spec)
        for group, part in enumerate(cost.split(sizes)):
            rows, objects = linear_sum_assignment(part.repeat(1, groups[group][2]).numpy())
            objects = objects % max(len(columns), 1)
            matches[group].append((torch.from_numpy(rows), torch.from_numpy(objects)))
    return matches


def group_losses(
    logits: Float[Tensor, "B Q K"],
    boxes: Float[Tensor, "B Q 4"],
    matches: Matches,
    batch: Batch,
    focus: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted varifocal, L1 and GIoU loss per matched prediction.

    `focus` is the exponent that spares predictions which are low already. With 2, a second
    detection of an object, at 0.3, is hardly suppressed: one-to-one sets need 1.
    """
    image = torch.cat([torch.full_like(rows, i) for i, (rows, _) in enumerate(matches)])
    rows = torch.cat([rows for rows, _ in matches])
    wanted = torch.cat([b[objects] for b, (_, objects) in zip(batch.boxes, matches, strict=True)])
    columns = torch.cat([c[o] for c, (_, o) in zip(batch.columns, matches, strict=True)])
    predicted = boxes[image, rows]
    iou, giou = aligned_iou(cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(wanted))
    quality = iou.detach()
    target = torch.zeros_like(logits)
    target[image, rows, columns] = quality
    weight = VARIFOCAL_ALPHA * logits.detach().sigmoid().pow(focus)
    weight[image, rows] = 1.0  # also for the other classes: it teaches to tell them apart
    varifocal = binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    count = max(len(rows), 1)
    return (
        CLASS_WEIGHT * varifocal / count,
        L1_WEIGHT * (predicted - wanted).abs().sum() / count,
        GIOU_WEIGHT * (1 - giou).sum() / count,
    )


def aligned_iou(
    a_xyxy: Float[Tensor, "N 4"], b_xyxy: Float[Tensor, "N 4"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """IoU and generalised IoU (arXiv:1902.09630) of each box with the one at its own place."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(-1)

    (a0, a1), (b0, b1) = a_xyxy.split(2, -1), b_xyxy.split(2, -1)
    overlap = area(torch.maximum(a0, b0), torch.minimum(a1, b1))
    union = area(a0, a1) + area(b0, b1) - overlap
    hull = area(torch.minimum(a0, b0), torch.maximum(a1, b1))
    iou = overlap / union.clamp(min=1e-9)
    return iou, iou - (hull - union) / hull.clamp(min=1e-9)


@torch.no_grad()
def evaluate(network: DeformableDetr, val_root: Path) -> dict[str, float]:
    """Box AP on the generated val images, 0 to 1, by pycocotools alone."""
    network.eval()
    spec = demo_spec()
    with redirect_stdout(StringIO()):
        truth = COCO(val_root / "annotations" / "instances_val2017.json")
    results = []
    for image in truth.imgs.values():
        with Image.open(val_root / "val2017" / image["file_name"]) as picture:
            input_wh = _input_wh(*picture.size)
            resized = picture.convert("RGB").resize(input_wh, Image.Resampling.BILINEAR)
        pixels = _normalised(resized)[None]
        found = network(pixels, torch.zeros(1, *pixels.shape[2:], dtype=torch.bool))
        scores, queries, columns = top_detections(found.logits[-1, 0], spec, 100)
        size = torch.tensor([image["width"], image["height"]] * 2)
        corners = cxcywh_to_xyxy(found.boxes[-1, 0][queries]) * size
        for score, column, (x0, y0, x1, y1) in zip(
            scores.tolist(), columns.tolist(), corners.tolist(), strict=True
        ):
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": spec.category_ids[column],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                }
            )
    with redirect_stdout(StringIO()):
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = ("box_ap", "box_ap50", "box_ap75", "box_ap_small", "box_ap_medium", "box_ap_large")
    return {name: round(float(judge.stats[i]), 4) for i, name in enumerate(names)}


def _input_wh(width: int, height: int) -> tuple[int, int]:
    shorter, longer = sorted((width, height))
    scale = min(PREPROCESSING.shorter_side / shorter, PREPROCESSING.longer_side / longer)
    return round(width * scale), round(height * scale)


if __name__ == "__main__":
    main()
