"""Train the `demo` detector from nothing on generated pictures; its weights go into the package.

    python tools/train_demo_detector.py --out mfd/detectors/demo/demo.safetensors

Everything is drawn from `--seed`; no picture is seen twice, and none of `mfd demo` at all. Beside
the weights, a JSON file of the same name keeps the settings, the log and the AP on pictures that
were not trained on. One core is enough: about an hour. `--init` goes on from earlier weights.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from demo_losses import detection_losses
from demo_pictures import CATEGORY_IDS, PREPROCESSING, batches, box_ap
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from mfd.demo import CATEGORIES, generate
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.detectors.demo.detector import demo_network, save_demo
from mfd.detectors.spec import DetectorSpec

TEST_SEED = 4_000_000  # of pictures that only measure


@dataclass(frozen=True)
class Settings:
    """Everything that changes the result."""

    seed: int = 0
    steps: int = 5500
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    extra_queries: int = 60
    small_part: float = 0.55  # of the steps is on smaller pictures, which cost half
    threads: int = 1


def main() -> None:
    """Parse the flags, train, write weights and log."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--init", type=Path, help="weights to begin with instead of random ones")
    parser.add_argument("--test-images", type=int, default=100)
    parser.add_argument("--test-every", type=int, default=250, help="steps")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    flags = vars(parser.parse_args())
    settings = Settings(**{name: flags[name] for name in asdict(Settings())})
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    network = demo_network(len(CATEGORY_IDS), settings.extra_queries)
    earlier = load_earlier(network, flags["init"]) if flags["init"] else None
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), num_train=0, num_val=flags["test_images"], seed=TEST_SEED)
        log: list[dict[str, float]] = []

        def test(average: DeformableDetr, step: int) -> None:
            spec = demo_spec(average)
            found = box_ap(DeformableDetector(average.eval(), spec), Path(folder))
            print(json.dumps(found), flush=True)
            save_demo(average, spec, flags["out"])
            report = {"step": step, **found, "settings": asdict(settings), "log": log}
            text = json.dumps(report if earlier is None else {**report, "init": earlier})
            flags["out"].with_suffix(".json").write_text(text.replace("{", "\n{") + "\n")

        train(network, settings, log, flags["test_every"], test)


def train(
    network: DeformableDetr,
    settings: Settings,
    log: list[dict[str, float]],
    test_every: int,
    test: Callable[[DeformableDetr, int], None],
) -> None:
    """Train the network; `test` gets the moving average of its weights now and then, and last.

    The averages of the losses go to `log` every 50 steps.
    """
    network = network.to(memory_format=torch.channels_last).train()
    spec = demo_spec(network)
    average = AveragedModel(network, avg_fn=_moving_average(settings.ema_decay), use_buffers=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    schedule = LambdaLR(optimizer, lambda step: _rate(step, settings))
    small_steps = round(settings.small_part * settings.steps)
    started = time.perf_counter()
    sums: dict[str, float] = {}
    drawn = batches(settings.seed, settings.steps, small_steps, settings.batch)
    for step, batch in enumerate(drawn, start=1):
        losses = detection_losses(network(batch.images, batch.padding), batch, spec)
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        sums = {name: sums.get(name, 0.0) + value.item() for name, value in losses.items()}
        if step % 50 == 0:
            means = {name: round(value / 50, 3) for name, value in sums.items()}
            log.append({"step": step, "seconds": round(time.perf_counter() - started), **means})
            print(json.dumps(log[-1]), flush=True)
            sums = {}
        if step % test_every == 0 or step == settings.steps:
            test(average.module, step)


def load_earlier(network: DeformableDetr, path: Path) -> Any:
    """Take the weights of an earlier run and return its log; extra queries stay random."""
    state = load_file(path)
    content = network.decoder.content.weight.detach().clone()
    content[: network.config.num_queries] = state["decoder.content.weight"]
    network.load_state_dict({**state, "decoder.content.weight": content})
    return json.loads(path.with_suffix(".json").read_text())


def demo_spec(network: DeformableDetr) -> DetectorSpec:
    """What the trained detector says of itself."""
    config = network.config
    return DetectorSpec(
        name="demo",
        dim=config.dim,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=CATEGORY_IDS,
        category_names=tuple(CATEGORIES[key][0] for key in CATEGORY_IDS),
        c1_channels=network.backbone.c1_channels,
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


if __name__ == "__main__":
    main()
