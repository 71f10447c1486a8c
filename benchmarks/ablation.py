"""The blocks of the paper's tables 2, 3, 5, 6 and 12, trained with one short budget on a store.

    python -m benchmarks.ablation --data COCO --stores STORES --detector NAME --runs RUNS
        [--tables 6 12] [--set epochs=4 --set lr=4e-4] [--roi-size 16] [--max-detections 50]
        [--out FILE]

Each distinct head is trained and evaluated once, in a folder of its own under RUNS; what is there
already is not done again, so the same command goes on after an interruption. Prints each table's
rows in the paper's order, with the paper's mask AP and ours.

Where C1 and the encoder maps differ in width, C1 cannot be added as it is: there every head has the
neck, and table 6's row without it goes without C1.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import environment, write
from mfd.cache import Store, find_store
from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.detectors.spec import DetectorSpec
from mfd.headtrain import (
    HeadConfig,
    Run,
    StoredSource,
    TrainConfig,
    build_targets,
    evaluate,
    evaluation_dir,
    train,
)
from mfd.headtrain.presets.paper import presets
from mfd.headtrain.presets.preset import Preset
from mfd.headtrain.presets.sizes import head_size
from mfd.opening import pick_device
from mfd.settings import replace_from_texts

ROWS = {
    2: (
        *("image-none", "image-deformable-1", "image-deformable-2", "image-deformable-3"),
        *("image-swin-2", "image-convnext-2"),
    ),
    3: ("box-none", "box-deformable-2", "box-swin-2", "box-convnext-2"),
    5: ("query-none", "query-ffn", "query-ffn-o2o", "query-ffn-b2o"),
    6: ("plain", "neck", "neck-sampled", "paper"),
    12: ("mask-dot-product", "mask-segmenter"),
}


def rows(tables: list[int]) -> Iterator[Preset]:
    """The presets of the wanted tables, in the paper's order."""
    known = presets()
    for table in tables:
        for name in ROWS[table]:
            yield known[name]


def fitted(preset: Preset, spec: DetectorSpec, roi_size: int) -> HeadConfig:
    """The preset's head for this detector and RoI size."""
    config = replace(preset.config, roi_size=roi_size)
    if spec.c1_channels == spec.dim or not config.use_c1:
        return config
    return replace(config, use_c1=False) if preset.name == "plain" else replace(config, neck=True)


def folder_name(config: HeadConfig, recipe: TrainConfig) -> str:
    """What differs from the defaults: one folder per distinct head and recipe."""
    changed = []
    for settings in (config, recipe):
        usual = asdict(type(settings)())
        changed += [
            f"{name}={value}" for name, value in asdict(settings).items() if value != usual[name]
        ]
    return ",".join(changed) or "default"


def measure(
    config: HeadConfig, recipe: TrainConfig, stores: dict[str, Store],
    datasets: dict[str, CocoDataset], options: argparse.Namespace, run_dir: Path,
) -> dict[str, Any]:  # fmt: skip
    """The figures of a head that is trained and evaluated in `run_dir`, now or before."""
    run, (seen, unseen) = Run(run_dir), stores.values()
    folder = evaluation_dir(run, "val", unseen.path.name)
    if not (folder / "evaluation.json").exists():
        device = pick_device(options.device)
        targets = build_targets(seen, datasets["train"], options.stores)
        source = StoredSource(seen, targets, config, recipe)
        begun = (run_dir / "config.json").exists()
        train(config, recipe, source, run, device=device, resume=begun)
        kept = options.max_detections
        evaluation = evaluate(
            run.load_head(device), unseen, datasets["val"],
            split="val", max_detections=kept, device=device,
        )  # fmt: skip
        evaluation.write(folder)
    found = json.loads((folder / "evaluation.json").read_text())
    cost = run.cost()
    figures = {name: value for name, value in found.items() if name.startswith("mask_ap")}
    return {**figures, "training": cost["training"]}


def main() -> None:
    """Trains what is missing, prints the tables and writes one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stores", type=Path, required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--tables", type=int, nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--roi-size", type=int, default=16)
    parser.add_argument("--max-detections", type=int, help="per image; default: the detector's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = replace_from_texts(
        TrainConfig(), dict(setting.split("=", 1) for setting in options.set)
    )
    stores = {
        split: Store.open(
            find_store(options.stores, detector=options.detector, split=split, view="base")
        )
        for split in ("train", "val")
    }
    datasets = {split: read_dataset(*split_paths(options.data, split)) for split in stores}
    spec, results = stores["train"].spec, []
    for preset in rows(options.tables):
        config = fitted(preset, spec, options.roi_size)
        run_dir = options.runs / folder_name(config, recipe)
        found = measure(config, recipe, stores, datasets, options, run_dir)
        parameters = head_size(config, spec).parameters
        results.append(
            {
                "table": preset.table,
                "name": preset.name,
                "paper_ap": preset.paper_ap,
                "parameters": parameters,
                **found,
                "config": asdict(config),
            }
        )
        print(
            f"table {preset.table:2}  {preset.name:20} paper {preset.paper_ap:4.1f}  here "
            f"{100 * found['mask_ap']:4.1f}  AP50 {100 * found['mask_ap50']:4.1f}  AP75 "
            f"{100 * found['mask_ap75']:4.1f}  {parameters / 1e6:.2f} M",
            flush=True,
        )
    if options.out:
        setting = {
            "detector": spec.name,
            "images": {split: len(store) for split, store in stores.items()},
            "max_detections": options.max_detections,
            "recipe": asdict(recipe),
        }
        device = pick_device(options.device).type
        write(options.out, {**environment(device), **setting, "results": results})


if __name__ == "__main__":
    main()
