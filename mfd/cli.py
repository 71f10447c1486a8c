"""The `mfd` command: flags are parsed here, work is done in `mfd.pipeline`, results are printed.

Nothing that takes long to import is imported before a command runs.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from mfd.commands import AsJson, Stores, cache
from mfd.config import Project, load_project
from mfd.console import out, say
from mfd.errors import MfdError
from mfd.text import duration, size

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Instance masks for a frozen DETR, trained on cached features.\n\n"
    "Settings come from mfd.toml in the working folder; flags override them.",
)
app.add_typer(cache, name="cache")

Split = Annotated[str, typer.Option(help="train or val; any name for data of your own.")]
Data = Annotated[Path | None, typer.Option(help="COCO folder with annotations/ and images.")]
Images = Annotated[Path | None, typer.Option(help="Image folder of data of your own.")]
Annotations = Annotated[Path | None, typer.Option(help="COCO instances file of your own.")]
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
Dtype = Annotated[
    Literal["float16", "int8", "float32"], typer.Option(help="Stored element type of the maps.")
]


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
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first image that fails.")
    ] = False,
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
        say=say,
    )
    if done.images:
        took, rate = duration(done.seconds), done.images / done.seconds
        say(f"complete: {done.images} images in {took}, {rate:.1f} images/s")
    else:
        say("complete: nothing was left to do")


@app.command()
def train_head(
    preset: Annotated[
        str | None,
        typer.Option(help="A head of the paper; see `mfd presets`.", show_default="paper"),
    ] = None,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --run, or the latest, as it was begun.")
    ] = False,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    device: Device = "auto",
) -> None:
    """Stage two: train the mask head on a store; the detector does not run."""
    from mfd import pipeline
    from mfd.headtrain import begun_run_dir, new_run_dir

    project = _project(data=data, stores=stores, runs=runs, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    if resume:
        run_dir = begun_run_dir(project.runs, run)
        head, recipe = pipeline.configure_head(preset, settings or [], resumed=run_dir)
    else:
        head, recipe = pipeline.configure_head(preset, settings or [])
        run_dir = new_run_dir(project.runs, run, preset or "paper")
    opened = pipeline.open_store(project, split, store)
    dataset = pipeline.open_dataset(project, split, images, annotations)
    say(f"store: {opened.path}\nrun: {run_dir}")
    summary = pipeline.train_head(
        project, opened, dataset, run_dir, head, recipe, device=device, resume=resume, say=say
    )
    say(f"trained: {summary.run_dir}/head.safetensors")


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
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also filled boxes and no training.")
    ] = False,
    per_category: Annotated[
        bool, typer.Option("--per-category", help="Also each category's AP.")
    ] = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Print COCO AP of boxes and masks, and write the results files."""
    from mfd import pipeline
    from mfd.headtrain import find_run

    project = _project(data=data, stores=stores, runs=runs, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    run_dir = find_run(project.runs, run)
    opened = pipeline.open_store(project, split, store)
    dataset = pipeline.open_dataset(project, split, images, annotations)
    say(f"run: {run_dir}\nstore: {opened.path}")
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
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    run: RunName = None,
    folder: Annotated[Path, typer.Option("--out", help="Where pictures go.")] = Path("predictions"),
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score shown.")] = 0.4,
    runs: Runs = None,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
    device: Device = "auto",
) -> None:
    """Draw masks on images, and write them as COCO JSON."""
    from mfd import pipeline
    from mfd.headtrain import find_run

    project = _project(runs=runs, detector=detector, weights=weights, encoder_layer=encoder_layer)
    run_dir = find_run(project.runs, None if run is None else Path(run))
    written = pipeline.predict_images(
        project, run_dir, images, folder, threshold=threshold, device=device, say=say
    )
    for path in (*written.pictures, written.results):
        print(path)  # noqa: T201
    say(written.summary(threshold))


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
    out.print(
        f"{found.images} images, {size(found.num_bytes)} on disk, "
        f"{size(found.bytes_per_image)} an image"
    )
    if found.hours is not None:
        out.print(f"{duration(3600 * found.hours)} at {found.images_per_second:.1f} images/s")


@app.command()
def presets(as_json: AsJson = False) -> None:
    """List the paper's heads: our sizes beside the paper's."""
    from mfd.commands import size_table
    from mfd.headtrain import preset_table

    rows = preset_table()
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
    else:
        out.print(size_table(rows))


@app.command()
def doctor(
    split: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    stores: Stores = None,
    detector: DetectorName = None,
    weights: Weights = None,
    encoder_layer: EncoderLayer = None,
) -> None:
    """Say what is wrong with environment, data and detector, and how to mend it."""
    from mfd.doctor import examine

    project = _project(data=data, stores=stores, detector=detector, weights=weights,
                       encoder_layer=encoder_layer)  # fmt: skip
    findings = examine(project, split, images, annotations)
    for finding in findings:
        out.print(f"{'ok ' if finding.good else 'BAD'}  {escape(finding.text)}", soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="A new folder, or one to go on in.")] = Path(
        "demo"
    ),
) -> None:
    """Do everything once on generated images: about three minutes on two cores."""
    from mfd.demo import run_demo

    run_demo(folder)


def _project(**flags: Any) -> Project:
    return load_project().override(**flags)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it succeeded, 1 with one line if not, 2 for wrong usage."""
    try:
        app(args=arguments)
    except SystemExit as exit_:
        stop = exit_.__context__ and exit_.__context__.__cause__
        if isinstance(stop, KeyboardInterrupt):  # typer turns it into an exit, its text unsaid
            say(str(stop) or "stopped")
        return exit_.code if isinstance(exit_.code, int) else 1
    except MfdError as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:  # such as `mfd presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say(f"error: {_what_the_disk_refused(error)}")
        return 1
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        say(
            f"error: the GPU's memory is full ({str(error).split('. ')[0]}); give `extract` a "
            "smaller --batch-size, `train-head` a smaller --set batch_size=..., or --device cpu"
        )
        return 1
    return 0


def _what_the_disk_refused(error: OSError) -> str:
    where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    reason = error.strerror or " ".join(str(error).split())
    return f"{where} ({reason}); look at its path, its permissions and the room on its disk"


if __name__ == "__main__":
    sys.exit(main())
