"""The `mfd` command: flags are parsed here, work is done in `mfd.pipeline`, results are printed.

Nothing that takes long to import is imported before a command runs.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from mfd.errors import ConfigError, MfdError
from mfd.project import Project, load_project

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Instance masks for a frozen DETR, trained on cached features.\n\n"
    "Settings come from mfd.toml in the working folder; flags override them.",
)
cache = typer.Typer(no_args_is_help=True, help="Look after the feature stores.")
app.add_typer(cache, name="cache")

out = Console()
err = Console(stderr=True, soft_wrap=True, highlight=False)

Split = Annotated[str, typer.Option(help="train or val; any name for data of your own.")]
Data = Annotated[Path | None, typer.Option(help="COCO folder with annotations/ and images.")]
Images = Annotated[Path | None, typer.Option(help="Image folder of data of your own.")]
Annotations = Annotated[Path | None, typer.Option(help="COCO instances file of your own.")]
Stores = Annotated[Path | None, typer.Option(help="Where feature stores are.")]
Runs = Annotated[Path | None, typer.Option(help="Where trained heads are.")]
DetectorName = Annotated[
    str | None, typer.Option("--detector", help="Name, hf:<repo or folder> or file.py:function.")
]
Weights = Annotated[str | None, typer.Option(help="The detector's checkpoint.")]
EncoderLayer = Annotated[int | None, typer.Option(help="Whose maps are used, counted from 1.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
StorePath = Annotated[Path | None, typer.Option("--store", help="A store, instead of looking.")]
RunName = Annotated[str | None, typer.Option("--run", help="Name of the run's folder.")]
Profile = Annotated[Literal["full", "lite"], typer.Option(help="lite recomputes C1 when needed.")]
Dtype = Annotated[Literal["float16", "float32"], typer.Option(help="Stored element type.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def extract(
    split: Split = "train",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    stores: Stores = None,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    profile: Profile = "full",
    dtype: Dtype = "float16",
    codec: Annotated[Literal["none", "zstd", "blosc"], typer.Option(help="Lossless.")] = "none",
    autocast: Annotated[
        Literal["none", "bf16", "fp16"], typer.Option(help="The detector's own precision.")
    ] = "none",
    batch_size: Annotated[int, typer.Option(help="Images per forward pass.")] = 4,
    workers: Annotated[int, typer.Option(help="Threads that decode images.")] = 4,
    strict: Annotated[bool, typer.Option(help="Stop at the first image that fails.")] = False,
    device: Device = "auto",
) -> None:
    """Stage one: run the frozen detector once and store what it computes."""
    from mfd import pipeline
    from mfd.extract import ExtractConfig

    project = _project(data=data, stores=stores, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    dataset = pipeline.open_dataset(project, split, images, annotations, need_masks=False)
    done = pipeline.extract_split(
        project,
        dataset,
        split,
        ExtractConfig(batch_size, workers, autocast, strict),
        profile=profile,
        dtype=dtype,
        codec=codec,
        device=device,
        say=_say,
    )
    rate = f", {done.images / done.seconds:.1f} images/s" if done.images else ""
    _say(f"complete: {done.images} images in {done.seconds:.0f} s{rate}")


@app.command()
def train_head(
    preset: Annotated[str, typer.Option(help="A head of the paper; see `mfd presets`.")] = "paper",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value of head or recipe; repeatable.")
    ] = None,
    split: Split = "train",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    stores: Stores = None,
    store: StorePath = None,
    runs: Runs = None,
    run: RunName = None,
    resume: Annotated[bool, typer.Option(help="Go on with --run, or the latest.")] = False,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    device: Device = "auto",
) -> None:
    """Stage two: train the mask head on a store; the detector does not run."""
    from mfd import pipeline

    project = _project(data=data, stores=stores, runs=runs, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    head, recipe = pipeline.configure_head(preset, settings or [])
    if resume and run is None:
        run_dir = pipeline.latest_run(project, finished=False)
    else:
        run_dir = pipeline.new_run_dir(project, run, preset)
    opened = pipeline.open_store(project, split, store)
    dataset = pipeline.open_dataset(project, split, images, annotations)
    _say(f"store: {opened.path}\nrun: {run_dir}")
    summary = pipeline.train_head(
        project, opened, dataset, run_dir, head, recipe, device=device, resume=resume, say=_say
    )
    _say(f"trained: {summary.run_dir}/head.safetensors")


@app.command()
def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A run's name or folder.")] = None,
    split: Split = "val",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    stores: Stores = None,
    store: StorePath = None,
    runs: Runs = None,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    baselines: Annotated[bool, typer.Option(help="Also filled boxes and no training.")] = False,
    per_category: Annotated[bool, typer.Option(help="Also each category's AP.")] = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Print COCO AP of boxes and masks, and write the results files."""
    from mfd import pipeline

    project = _project(data=data, stores=stores, runs=runs, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    run_dir = _run(project, run)
    opened = pipeline.open_store(project, split, store)
    dataset = pipeline.open_dataset(project, split, images, annotations)
    _say(f"run: {run_dir}\nstore: {opened.path}")
    found = pipeline.evaluate_run(
        project, run_dir, opened, dataset, baselines=baselines, device=device
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=1))  # noqa: T201
        return
    out.print(found.table())
    if per_category:
        out.print(found.category_table())


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    run: RunName = None,
    folder: Annotated[Path, typer.Option("--out", help="Where pictures go.")] = Path("predictions"),
    threshold: Annotated[float, typer.Option(help="Least score shown.")] = 0.4,
    runs: Runs = None,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    device: Device = "auto",
) -> None:
    """Draw masks on images, and write them as COCO JSON."""
    from mfd import pipeline

    project = _project(runs=runs, detector=detector, weights=weights, encoder_layer=encoder_layer)
    run_dir = _run(project, None if run is None else Path(run))
    written = pipeline.predict_images(
        project, run_dir, images, folder, threshold=threshold, device=device
    )
    for path in written:
        out.print(escape(str(path)), soft_wrap=True)


@app.command()
def estimate(
    split: Split = "train",
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    detector: DetectorName = None,
    weights: Weights = None,
    profile: Profile = "full",
    dtype: Dtype = "float16",
    measure: Annotated[bool, typer.Option(help="Time the detector on a few images.")] = True,
    device: Device = "auto",
) -> None:
    """Say what `mfd extract` will need in disk and hours; writes nothing."""
    from mfd import pipeline

    project = _project(data=data, detector=detector, weights=weights)
    dataset = pipeline.open_dataset(project, split, images, annotations, need_masks=False)
    found = pipeline.estimate_split(
        project, dataset, profile=profile, dtype=dtype, measure=measure, device=device
    )
    per_image = f"{found.bytes_per_image / 1e6:.2f} MB an image"
    out.print(f"{found.images} images, {found.num_bytes / 1e9:.2f} GB on disk ({per_image})")
    if found.hours is not None:
        out.print(f"{found.hours:.2f} h at {found.images_per_second:.1f} images/s")


@app.command()
def presets(as_json: AsJson = False) -> None:
    """List the paper's heads: our sizes beside the paper's."""
    from mfd.headtrain import preset_table
    from mfd.reports import size_table

    rows = preset_table()
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
    else:
        out.print(size_table(rows))


@app.command()
def doctor(data: Data = None, detector: DetectorName = None, weights: Weights = None) -> None:
    """Say what is wrong with environment, data and detector, and how to mend it."""
    from mfd.doctor import examine

    findings = examine(_project(data=data, detector=detector, weights=weights))
    for finding in findings:
        out.print(f"{'ok ' if finding.good else 'BAD'}  {escape(finding.text)}", soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="An empty or absent folder.")] = Path(
        "demo"
    ),
) -> None:
    """Do everything once on generated images: about four minutes on two cores."""
    from mfd.demo import run_demo

    run_demo(folder)


@cache.command("ls")
def cache_ls(stores: Stores = None) -> None:
    """List the stores."""
    from mfd.cache import list_stores
    from mfd.reports import store_table

    out.print(store_table(list_stores(_project(stores=stores).stores)))


@cache.command("info")
def cache_info(store: Path, as_json: AsJson = False) -> None:
    """Show everything a store says of itself."""
    from mfd.cache import StoreInfo
    from mfd.reports import store_facts

    facts = store_facts(StoreInfo.read(store))
    if as_json:
        print(json.dumps(facts, indent=1))  # noqa: T201
        return
    for name, value in facts.items():
        out.print(f"{name:18} {escape(str(value))}", soft_wrap=True, highlight=False)


@cache.command("verify")
def cache_verify(
    store: Path,
    repair: Annotated[bool, typer.Option(help="Make damaged units unfinished.")] = False,
) -> None:
    """Read every byte of a store against its checksums."""
    from mfd.cache import repair_store, verify_store

    damage = verify_store(store)
    for each in damage:
        ids = f" (images {', '.join(map(str, each.image_ids))})" if each.image_ids else ""
        _say(f"{each.what}{ids}")
    if not damage:
        return _say(f"{store} is sound")
    if not repair:
        _say("`mfd cache verify --repair`, then `mfd extract` redo just these")
        raise typer.Exit(1)
    units = repair_store(store, damage)
    return _say(f"{len(units)} units are unfinished now; run `mfd extract` to redo them")


@cache.command("rm")
def cache_rm(
    store: Path, force: Annotated[bool, typer.Option(help="Even if a run names it.")] = False
) -> None:
    """Delete a store."""
    from mfd.cache import remove_store

    remove_store(store, force=force)


@cache.command("gc")
def cache_gc(
    stores: Stores = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
) -> None:
    """Delete what killed processes left behind; stores stay."""
    from mfd.cache import collect_garbage

    for path in collect_garbage(_project(stores=stores).stores, dry_run=dry_run):
        _say(f"{'would remove' if dry_run else 'removed'} {path}")


def _project(**flags: Any) -> Project:
    return load_project().override(**flags)


def _run(project: Project, run: Path | None) -> Path:
    """The folder of a run given by name or path; the latest finished one by default."""
    from mfd import pipeline

    if run is None:
        return pipeline.latest_run(project, finished=True)
    for folder in (project.runs / run, run):
        if (folder / "config.json").exists():
            return folder
    raise ConfigError(f"there is no run {run} here or under {project.runs}")


def _say(line: str) -> None:
    err.print(escape(line))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it succeeded, 1 with one line if not, 2 for wrong usage."""
    try:
        app(args=arguments)
    except SystemExit as exit_:
        stop = exit_.__context__ and exit_.__context__.__cause__
        if isinstance(stop, KeyboardInterrupt):  # typer turns it into an exit, its text unsaid
            _say(str(stop) or "stopped")
        return exit_.code if isinstance(exit_.code, int) else 1
    except MfdError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
