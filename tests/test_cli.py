"""The commands as a user types them, in a project folder with a small detector of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file

from mfd.cli import app, main
from mfd.demo import generate

DETECTOR = """
from dataclasses import replace
from tests.builders.tiny import detector as tiny

def detector(weights=None):
    made = tiny(weights)
    made.spec = replace(made.spec, name="tiny", category_ids=({ids}))
    return made
"""
SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=2", "lr=1e-3")]

OPTIONS = {
    "extract": "split images annotations profile dtype view batch-size workers precision strict "
    "codec skip-invalid device data stores detector weights encoder-layer exif file-locks",
    "train-head": "preset set split images annotations val store views mask-fraction "
    "mask-images live augment finetune run resume skip-invalid device data stores runs detector "
    "weights encoder-layer exif file-locks",
    "evaluate": "split images annotations store baselines per-category class-agnostic json "
    "detector weights skip-invalid device data stores runs exif",
    "predict": "run out min-score min-quality recursive all-categories scale split "
    "annotations detector weights device data runs",
    "doctor": "split images annotations data stores runs detector weights encoder-layer exif",
    "estimate": "split images annotations profile dtype view batch-size workers precision strict "
    "measure device data detector weights encoder-layer exif",
    "report": "split images annotations out min-score skip-invalid data runs",
    "presets": "settings json",
    "demo": "out",
    "cache ls": "stores",
    "cache info": "json stores",
    "cache verify": "repair stores file-locks",
    "cache rm": "force stores file-locks",
    "cache gc": "dry-run stores file-locks",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project folder in which the three commands have run."""
    folder = tmp_path_factory.mktemp("project")
    generate(folder / "coco", num_train=18, num_val=5, seed=3)
    annotations = json.loads((folder / "coco/annotations/instances_val2017.json").read_text())
    ids = ", ".join(str(category["id"]) for category in annotations["categories"][3:6])
    (folder / "own.py").write_text(DETECTOR.format(ids=ids))
    (folder / "mfd.toml").write_text('data = "coco"\ndetector = "own.py:detector"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["extract", "--split", "train"]) == 0
        assert main(["extract", "--split", "val"]) == 0
        assert main(["train-head", "--run", "first", *SMALL]) == 0
        yield folder


def stored(project: Path, split: str) -> Path:
    (found,) = (project / "stores").glob(f"tiny-{split}-base-full-*")
    return found


def test_the_commands_and_their_options_are_these() -> None:
    found = {}
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        each = {f"{name} {n}": c for n, c in inner.items()} if inner else {name: command}
        for full_name, leaf in each.items():
            options = [p.opts[0].removeprefix("--") for p in leaf.params if p.opts[0][0] == "-"]
            found[full_name] = " ".join(options)
    assert found == OPTIONS


def test_evaluate_prints_what_pycocotools_finds_in_the_results(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "first", "--json", "--baselines"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for kind, key in (("bbox", "box_ap"), ("segm", "mask_ap")):
        with redirect_stdout(StringIO()):
            truth = COCO(project / "coco/annotations/instances_val2017.json")
            (folder,) = (project / "runs/first/evaluations").glob("val-*")
            results = truth.loadRes(str(folder / f"results_{kind}.json"))
            scored = COCOeval(truth, results, kind)
            scored.evaluate()
            scored.accumulate()
            scored.summarize()
        assert printed[key] == pytest.approx(scored.stats[0], abs=1e-6)
    assert printed["images"] == 5
    assert printed["mask_ap_filled_boxes"] is not None
    assert printed["mask_ap_untrained"] is not None


def test_evaluate_shows_a_table_by_default(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--per-category"]) == 0
    shown = capsys.readouterr().out
    assert "AP75" in shown
    assert "AP by category" in shown


def test_predict_draws_every_image(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted((project / "coco/val2017").iterdir())[:2]
    assert main(["predict", *map(str, images), "--out", "seen", "--min-score", "0"]) == 0
    written = capsys.readouterr().out.split()
    assert written == ["seen/" + image.name + ".masks.png" for image in images] + [
        "seen/predictions.json"
    ]
    for image in images:
        drawn, original = Image.open(f"seen/{image.name}.masks.png"), Image.open(image)
        plain = original.convert("RGB").resize(drawn.size, Image.Resampling.BICUBIC)
        changed = np.abs(np.asarray(drawn).astype(int) - np.asarray(plain)).max(-1) > 40
        assert changed.mean() > 0.01


def test_predict_takes_detector_and_category_names_from_the_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next((project / "coco/val2017").iterdir())
    (tmp_path / "mfd.toml").write_text('detector = "demo"\n')
    monkeypatch.chdir(tmp_path)
    run = str(project / "runs/first")
    assert main(["predict", str(image), "--run", run, "--out", "seen", "--min-score", "0"]) == 0
    annotations = json.loads((project / "coco/annotations/instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    found = json.loads(Path("seen/predictions.json").read_text())
    assert found
    assert all(one["category"] == names[one["category_id"]] for one in found)


def test_store_of_another_layer_than_the_presets_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(stored(project, "train"))
    assert main(["train-head", "--preset", "encoder-layer-6", "--store", store]) == 1
    assert "expected layer 6; run `mfd extract --encoder-layer 6`" in capsys.readouterr().err


def test_a_detector_without_c1_gets_a_head_without_it_and_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = DETECTOR.format(ids="1, 2, 3").replace(
        "import detector as", "import detector_without_c1 as"
    )
    (project / "vit.py").write_text(source.replace('name="tiny"', 'name="vit"'))
    chosen = ["--detector", "vit.py:detector", "--stores", "vit-stores"]
    for split in ("train", "val"):
        assert main(["extract", "--split", split, *chosen]) == 0
    capsys.readouterr()
    assert main(["train-head", "--run", "vit", *SMALL, *chosen]) == 0
    told = capsys.readouterr().err
    assert "head: focalnet-2-2 (without C1: vit has none finer than its encoder's maps)" in told
    config = json.loads((project / "runs/vit/config.json").read_text())
    assert (config["head"]["use_c1"], config["spec"]["c1_channels"]) == (False, 0)
    weights = load_file(project / "runs/vit/head.safetensors")
    parameters = sum(value.numel() for value in weights.values()) / 1e6
    assert f"{parameters:.2f} M parameters" in told
    assert main(["evaluate", "vit", "--json", "--stores", "vit-stores"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 5
    image = str(next((project / "coco/val2017").iterdir()))
    assert main(["predict", image, "--run", "vit", "--out", "seen-vit", "--min-score", "0"]) == 0
    assert main(["train-head", "--preset", "paper", "--run", "no", *SMALL, *chosen]) == 1
    assert "vit has no stage-1 map C1, which this head adds" in capsys.readouterr().err


def test_predict_takes_folders_and_leaves_out_what_is_no_image(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "coco/val2017", "mfd.toml", "--out", "all", "--min-score", "1"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.split()) == 5 + 1
    assert "left out: mfd.toml is not a whole image" in captured.err
    assert "images: 5, masks of score 1 or more: 0" in captured.err


def test_a_run_is_gone_on_with_as_it_was_begun(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main(["train-head", "--run", "cut", *SMALL]) == 130
    assert main(["train-head", "--resume", "--set", "epochs=3"]) == 1
    assert "train.epochs is 2, expected 3" in capsys.readouterr().err
    assert main(["train-head", "--resume"]) == 0
    weights = [Path(f"runs/{name}/head.safetensors").read_bytes() for name in ("first", "cut")]
    assert weights[0] == weights[1]


def test_views_are_extracted_priced_and_listed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--split", "val", "--stores", "views"]
    assert main(["extract", *own]) == 0
    assert main(["extract", *own, "--view", "lsj:07"]) == 0
    assert main(["extract", *own, "--view", "lsj:7"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err
    assert main(["cache", "ls", "--stores", "views"]) == 0
    listed = capsys.readouterr().out
    assert [view in listed for view in (" base ", " lsj:7 ", " lsj:07 ")] == [True, True, False]
    assert main(["estimate", "--split", "val", "--no-measure"]) == 0
    assert main(["estimate", "--split", "val", "--no-measure", "--view", "lsj:7"]) == 0
    base, priced = capsys.readouterr().out.splitlines()
    assert base != priced
    assert main(["evaluate", "first", *own, "--json"]) == 0  # of the base view
    assert "the view" not in str(json.loads(capsys.readouterr().out)["notes"])


def test_views_are_trained_on_together_and_resumed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--view", "lsj:1", "--stores", "many"]) == 0
    assert main(["extract", "--stores", "many"]) == 0
    command = ["train-head", "--views", "base, lsj:01", "--stores", "many", *SMALL]
    assert main([*command, "--run", "views"]) == 0
    said = capsys.readouterr().err
    assert "store: many/tiny-train-base-full" in said
    assert "store: many/tiny-train-lsj-1-full" in said

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main([*command, "--run", "views-cut"]) == 130
    assert main(["train-head", "--resume", "--views", "base", "--stores", "many"]) == 1
    assert "source.others" in capsys.readouterr().err
    assert main(["train-head", "--resume", "--stores", "many"]) == 0
    weights = [Path(f"runs/views{n}/head.safetensors").read_bytes() for n in ("", "-cut")]
    assert weights[0] == weights[1]
    base = Path("runs/first/head.safetensors").read_bytes()
    assert weights[0] != base


def test_masks_of_a_share_of_the_images_are_trained_on_and_the_run_remembers_which(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train-head", "--mask-fraction", "0.3", *SMALL]
    assert main([*command, "--run", "share"]) == 0
    said = capsys.readouterr().err
    images = json.loads(Path("runs/share/cost.json").read_text())["training"]["images"]
    count = json.loads(Path("runs/share/config.json").read_text())["source"]["masks"]["count"]
    assert f"masks: of {count} of 18 images" in said
    assert 0 < images <= 2 * count < 2 * 18 * 0.4

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert main([*command, "--run", "share-cut"]) == 130
    assert main(["train-head", "--resume"]) == 0
    weights = [Path(f"runs/share{n}/head.safetensors").read_bytes() for n in ("", "-cut")]
    assert weights[0] == weights[1]


def test_training_is_validated_on_the_val_store_and_keeps_its_best_head(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(project, "val").name
    assert main(["train-head", "--run", "seen", *SMALL]) == 0
    said = capsys.readouterr().err
    assert f"validation: 5 images of stores/{store}" in said
    assert "best: runs/seen/best, val mask AP " in said
    lines = [json.loads(line) for line in Path("runs/seen/metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if "val_mask_ap" in line]
    assert [line["epoch"] for line in found] == [1, 2]
    assert main(["evaluate", "seen/best", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    assert best["mask_ap"] == max(line["val_mask_ap"] for line in found)
    assert best["box_ap"] == found[0]["val_box_ap"]


def test_training_without_a_val_store_says_that_it_is_not_validated(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "train-only").mkdir()
    (project / "train-only" / stored(project, "train").name).symlink_to(stored(project, "train"))
    command = ["train-head", "--stores", "train-only", *SMALL, "--set=epochs=1"]
    assert main([*command, "--run", "unseen"]) == 0
    assert "validation: none (no store under train-only with" in capsys.readouterr().err
    val = str(stored(project, "val"))
    assert main([*command, "--run", "unseen-2", "--val", val]) == 0
    assert "validation: 5 images of" in capsys.readouterr().err
    weights = [Path(f"runs/unseen{n}/head.safetensors").read_bytes() for n in ("", "-2")]
    assert weights[0] == weights[1]


def test_sigterm_saves_a_run_that_resumes_to_the_same_heads(project: Path) -> None:
    settings = [*SMALL, "--set=epochs=8", "--set=log_every=1"]
    assert main(["train-head", "--run", "calm", *settings]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "mfd", "train-head", "--run", "cut-off", *settings],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = project / "runs/cut-off/metrics.jsonl"
    step = random.randrange(2, 20)
    while process.poll() is None and not (
        metrics.exists() and len(metrics.read_text().splitlines()) >= step
    ):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "the same command with --resume resumes from there" in said
    assert main(["train-head", "--resume", "--run", "cut-off"]) == 0
    for head in ("head.safetensors", "best/head.safetensors"):
        assert Path("runs/cut-off", head).read_bytes() == Path("runs/calm", head).read_bytes(), step
    curves = [
        {k: v for k, v in line.items() if k.startswith("val_m")}
        for name in ("cut-off", "calm")
        for line in map(json.loads, Path("runs", name, "metrics.jsonl").read_text().splitlines())
        if "val_mask_ap" in line
    ]
    assert curves[:8] == curves[8:]


def test_a_lite_store_trains_and_evaluates_with_the_detectors_stage_one(project: Path) -> None:
    data = ["--stores", "lite-stores"]
    assert main(["extract", "--profile", "lite", "--split", "train", *data]) == 0
    assert main(["extract", "--profile", "lite", "--split", "val", *data]) == 0
    assert main(["train-head", "--run", "lite", *SMALL, "--set=epochs=1", *data]) == 0
    assert main(["evaluate", "lite", *data]) == 0
    assert json.loads(next(Path("runs/lite").rglob("evaluation.json")).read_text())["images"] == 5


def test_an_extraction_that_is_complete_is_not_paid_for_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--split", "val"]) == 0
    assert "complete: nothing was left to do" in capsys.readouterr().err


def test_data_of_ones_own_needs_no_split_names(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--images", "coco/val2017", "--annotations", "coco/annotations/instances_val2017.json"]
    assert main(["estimate", *own]) == 0
    assert "5 images" in capsys.readouterr().out
    assert main(["extract", "--split", "birds", *own, "--stores", "others"]) == 0
    assert main(["evaluate", "first", "--split", "birds", *own, "--stores", "others"]) == 0


def test_the_cache_is_listed_verified_and_repaired(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "ls"]) == 0
    assert "stores: 2" in capsys.readouterr().out
    store = stored(project, "train")
    assert main(["cache", "info", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 18
    assert main(["cache", "verify", str(store)]) == 0

    shard = next(file for file in (store / "enc/tokens").iterdir() if file.name.startswith("c"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    assert main(["cache", "verify", str(store)]) == 1
    assert main(["cache", "verify", str(store), "--repair"]) == 0
    assert main(["train-head", "--run", "refused", *SMALL]) == 1
    assert "unfinished" in capsys.readouterr().err
    assert main(["extract", "--split", "train"]) == 0
    assert main(["cache", "verify", str(store)]) == 0
    assert main(["cache", "gc"]) == 0

    (store / "enc/zarr.json").unlink()
    assert main(["cache", "verify", str(store), "--repair"]) == 0
    assert "no features lost" in capsys.readouterr().err
    assert main(["extract", "--split", "train"]) == 0
    assert main(["cache", "verify", str(store)]) == 0


def test_a_store_is_known_by_its_name_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "--split", "val", "--dtype", "float32"]) == 0
    (store,) = (project / "stores").glob("tiny-val-*-float32-*")
    assert main(["cache", "info", store.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float32"
    elsewhere = str(project / "elsewhere")
    assert main(["cache", "rm", store.name, "--stores", elsewhere]) == 1
    assert "is not a feature store" in capsys.readouterr().err
    assert main(["cache", "rm", store.name]) == 0
    assert f"removed stores/{store.name}" in capsys.readouterr().err
    assert not store.exists()


def test_a_store_that_a_run_needs_is_not_removed_by_mistake(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "rm", str(stored(project, "train"))]) == 1
    assert "first" in capsys.readouterr().err
    assert stored(project, "train").is_dir()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train-head", "--run", "first", *SMALL], "already holds a run"),
        (["train-head", "--set", "roi_sise=8"], "did you mean 'roi_size'"),
        (["train-head", "--set", "epoch=8"], "did you mean 'epochs'"),
        (["train-head", "--resume", "--run", "nowhere"], "no run runs/nowhere to resume"),
        (["train-head", "--run", "a/b"], "--run takes a name"),
        (["train-head", "--run", "new", "--set", "roi_size=8", "--preset", "plain"], "neck=true"),
        (["train-head", "--set", "roi_size"], "field=value"),
        (["train-head", "--augment", "flip"], "add --live"),
        (["train-head", "--preset", "papper"], "did you mean 'paper'"),
        (["train-head", "--resume"], "no unfinished run"),
        (["train-head", "--preset", "encoder-layer-6"], "no store under stores with"),
        (["train-head", "--split", "val2"], "no store"),
        (["train-head", "--views", "base,ms:9"], "run `mfd extract --split train --view ms:9`"),
        (["train-head", "--mask-fraction", "0.1", "--mask-images", "x"], "give one"),
        (["train-head", "--mask-fraction", "0"], "mask_fraction must be more than 0"),
        (["train-head", "--mask-images", "own.py"], "own.py names"),
        (["train-head", "--views", "base,zoom"], "there is no view 'zoom'"),
        (["train-head", "--views", "base,flip", "--store", "x"], "leave one of them out"),
        (["train-head", "--views", "flip", "--live"], "--live does without"),
        (["train-head", "--val", "nowhere", *SMALL], "no store under stores with"),
        (["train-head", "--val", "none", *SMALL, "--set=patience=2"], "nothing to validate on"),
        (["evaluate", "nowhere"], "no run 'nowhere'"),
        (["extract", "--split", "test"], "no split 'test'"),
        (["extract", "--view", "zoom"], "there is no view 'zoom'; known: base, flip"),
        (["extract", "--view", "ms"], "give a seed, as in ms:0"),
        (["extract", "--detector", "hdter-r50"], "did you mean 'hdetr-r50'"),
        (["extract", "--data", "nowhere"], "no annotation file"),
        (["extract", "--images", "runs"], "holds none of the 18 images"),
        (["extract", "--stores", "mfd.toml"], "cannot be used"),
        (["predict", "nothing.jpg"], "no image nothing.jpg"),
        (["predict", "mfd.toml"], "is not a whole image"),
        (["predict", "runs"], "runs holds no image file"),
        (["predict", "coco/val2017", "--out", "mfd.toml"], "File exists"),
        (["extract", "--device", "cuda:99"], "cannot be used"),
        (["extract", "--device", "gpu"], "expected auto, cpu, cuda"),
        (["cache", "info", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_said_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert main(command) == 1
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if line.startswith("error: "))
    assert message in line
    assert "Traceback" not in captured.err


def test_a_printed_table_is_whole_in_a_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "ls"]) == 0
    assert stored(project, "train").name in capsys.readouterr().out
    assert main(["cache", "ls", "--stores", "nowhere"]) == 0
    assert "no store under nowhere" in capsys.readouterr().err


def test_another_detectors_head_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((project / "coco/val2017").iterdir())
    assert main(["predict", str(image), "--run", "first", "--weights", "7"]) == 1
    assert "the head was trained for tiny (weights" in capsys.readouterr().err


def test_doctor_prints_every_finding(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--detector", "demo"]) == 0
    assert "BAD" not in capsys.readouterr().out
    assert main(["doctor", "--data", "nowhere", "--detector", "nobody"]) == 1
    assert capsys.readouterr().out.count("BAD") == 3  # two splits, one detector


def test_wrong_usage_exits_with_two() -> None:
    assert main(["extract", "--no-such-flag"]) == 2


def test_a_full_gpu_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 ...")

    monkeypatch.setattr("mfd.commands.options.load_project", full)
    assert main(["extract"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "memory is full (CUDA out of memory); give `extract` a smaller --batch-size" in line


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: torch.zeros(2**50), "the memory is full (can't allocate memory: you tried to"),
        (lambda: np.zeros(2**50), "the memory is full (Unable to allocate"),
    ],
)
def test_full_memory_is_said_in_one_line(
    attempt: Callable[[], object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mfd.commands.options.load_project", lambda **_: attempt())
    assert main(["extract"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_error_of_ones_own_code_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("mfd.commands.options.load_project", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["extract"])


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("stopped after step 3; the same command goes on")

    monkeypatch.setattr("mfd.commands.options.load_project", interrupted)
    assert main(["extract"]) == 130
    assert "stopped after step 3" in capsys.readouterr().err


SLOW = """
import time
from own import detector as quick

def detector(weights=None):
    made = quick(weights)
    made.register_forward_pre_hook(lambda *_: time.sleep(0.7))
    return made
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_an_extraction_that_says_what_is_safe(
    project: Path, signum: signal.Signals
) -> None:
    (project / "slow.py").write_text(SLOW)
    command = ["extract", "--detector", "slow.py:detector", "--stores", f"stopped-{signum}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mfd", *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    before = iter(process.stderr.readline, "")
    assert any("weights before" in line for line in before)
    process.send_signal(signum)
    _, after = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "of 2 units are safe; the same command resumes from there" in after
    assert "Traceback" not in after


def test_live_training_needs_no_store_and_is_resumed_without_the_flag(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    nowhere = ["--stores", "no-stores"]
    with monkeypatch.context() as patch:
        patch.setattr("mfd.headtrain.runs.run.Run.save_head", power_cut)
        assert (
            main(["train-head", "--live", "--augment", "ms", "--run", "live", *SMALL, *nowhere])
            == 130
        )
    assert main(["train-head", "--resume", "--run", "live", *nowhere]) == 0
    assert "the detector took" in capsys.readouterr().err
    config = json.loads(Path("runs/live/config.json").read_text())
    assert (config["source"]["kind"], config["train"]["augment"]) == ("live", "ms")
    assert main(["evaluate", "live"]) == 0


def test_fine_tuning_is_evaluated_and_used_with_its_own_detector(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = ["--detector", "demo", "--stores", "no-stores"]
    tuning = ["--live", "--finetune", "transformer", "--set=epochs=1", "--set=batch_size=9"]
    assert main(["train-head", "--run", "tuned", *SMALL, *tuning, *demo]) == 0
    said = capsys.readouterr().err
    assert "box AP: 0." in said
    assert "after" in said
    assert main(["evaluate", "tuned", "--json"]) == 0
    captured = capsys.readouterr()
    assert "the detector runs on every image" in captured.err
    assert json.loads(captured.out)["box_ap"] > 0.3
    image = str(next((project / "coco/val2017").iterdir()))
    assert main(["predict", image, "--run", "tuned", "--out", "of-tuned", "--min-score", "0"]) == 0


def test_detectors_that_cannot_be_fine_tuned_are_refused_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-head", "--run", "custom", "--live", "--finetune", "all", *SMALL]) == 1
    assert "covers hdetr-*, dino-*, demo" in capsys.readouterr().err
    assert main(["train-head", "--run", "stored", "--finetune", "all", *SMALL]) == 1
    assert "add --live" in capsys.readouterr().err


def test_presets_that_need_the_detector_run_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-head", "--run", "lsj", "--preset", "lsj", *SMALL]) == 0
    assert "the detector runs on every batch" in capsys.readouterr().err
    assert main(["train-head", "--run", "ft", "--preset", "table16-r50-finetune", *SMALL]) == 1
    assert "covers hdetr-*, dino-*, demo" in capsys.readouterr().err
