"""`mfd sweep`: several heads trained on one pass over a store, and a table of what they reach."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from mfd import distributed, headtrain, opening
from mfd.commands.declared import DEVICE, SKIP_INVALID, HeadTraining
from mfd.commands.findings import open_consistent, say_repeated_files
from mfd.commands.train_head import PROJECT as PROJECT
from mfd.commands.train_head import chosen_masks, in_categories_of_head
from mfd.commands.wanted import Wanted, about, open_wanted, parse_heads
from mfd.config import Project
from mfd.console import out, print_json, say
from mfd.errors import TrainingError
from mfd.files import require_writable
from mfd.memory import keep_freed_memory
from mfd.settings import setting, settings
from mfd.text import duration

HELP = "Train several heads on one pass over the store, and compare them."


@settings
class Options(HeadTraining):
    """Which heads are trained, and on what."""

    heads: tuple[str, ...] = setting(
        "Each as NAME:PRESET,field=value,... where PRESET (default: --preset) or fields may be "
        "missing; or a preset's name alone. NAME is its run's.",
        default=(),
        extra={"argument": True},
    )
    resume: bool = setting("Resume the runs of these heads; begin those not begun.", default=False)
    json: bool = setting("Print JSON for machines.", default=False)
    skip_invalid: bool = SKIP_INVALID
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Train the heads or resume them, and print a row for each."""
    keep_freed_memory()
    with distributed.joined(opening.pick_device(options.device)):
        _sweep(project, options)


def _sweep(project: Project, options: Options) -> None:
    wanted = parse_heads(options.heads)
    material, plans = open_wanted(project, options, wanted, opening.pick_device(options.device))
    runs = [_run_of(project, each.name, resume=options.resume) for each in wanted]
    if distributed.rank() == 0:
        for run in runs:
            require_writable(run.path)
    for place in material.places:
        say(f"store: {place}")
    for run, plan in zip(runs, plans, strict=True):
        say(f"{run.path}: {plan.description(material.spec)}")
    with_c1 = {plan.head.use_c1: plan for plan in plans}
    samples = {c1: material.validation(options.val, plan) for c1, plan in with_c1.items()}
    for run, plan in zip(runs, plans, strict=True):
        with about(run.name):
            validated = samples[plan.head.use_c1] is not None
            plan.require_trainable(material.spec, material.device, validated=validated)
    dataset = open_consistent(project, options)
    say_repeated_files(dataset, material.images)
    dataset = in_categories_of_head(plans[0].head, project, dataset, material.spec)
    masks = [chosen_masks(options, None, plan.recipe, dataset) for plan in plans]
    heads = [(p.head, p.recipe, m) for p, m in zip(plans, masks, strict=True)]
    validations: dict[tuple[int, bool], headtrain.Validation | None] = {}
    trainings = []
    for run, plan, source in zip(runs, plans, material.sources(dataset, heads), strict=True):
        images = plan.val_images(source)
        if (key := (images, plan.head.use_c1)) not in validations:
            sample = samples[plan.head.use_c1]
            validations[key] = sample and sample(images)
        with about(run.name):
            trainings.append(
                headtrain.Training(
                    plan.head,
                    plan.recipe,
                    source,
                    run,
                    detector=material.choice,
                    preset=plan.name,
                    device=material.device,
                    validation=validations[key],
                )
            )
    if distributed.rank() == 0:
        for run in runs:
            material.begun(run)
    failed = headtrain.sweep(trainings, resume=options.resume, say=say)
    if distributed.rank() == 0:
        rows = [
            _row(each, run, training.parameters, failed.get(run.name))
            for each, run, training in zip(wanted, runs, trainings, strict=True)
        ]
        print_json(rows) if options.json else out.print(_table(rows))
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(runs)} heads could not be trained to their end: "
            f"{', '.join(failed)}; the reasons are said above"
        )


def _run_of(project: Project, name: str, *, resume: bool) -> "headtrain.Run":
    if resume and headtrain.Run(project.runs / name).begun:
        return headtrain.Run.resume(project.runs, name)
    return headtrain.Run.new(project.runs, name, name)


def _row(
    wanted: Wanted, run: "headtrain.Run", parameters: int, failure: TrainingError | None
) -> dict[str, Any]:
    """What became of a head: mask AP is the best one of its validations."""
    metrics = headtrain.read_metrics(run.metrics_file)
    validated = [record for record in metrics if headtrain.MASK_AP in record]
    best = max(validated, key=lambda record: record[headtrain.MASK_AP], default={})
    return {
        "run": str(run.path),
        "name": wanted.name,
        "preset": run.config.preset,
        "changes": list(wanted.changes),
        "val_mask_ap": best.get(headtrain.MASK_AP),
        "epoch": best.get("epoch"),
        "epochs": run.config.train and run.config.train.epochs,
        "parameters": parameters,
        "seconds": run.cost().get("training", {}).get("seconds"),
        "error": failure and str(failure),
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    """One line for each head."""
    table = Table("head", "preset", "changes", caption="mask AP: the best of the validations")
    for name in ("val mask AP", "epoch", "parameters", "time"):
        table.add_column(name, justify="right")
    for row in rows:
        ap = row["val_mask_ap"]
        table.add_row(
            row["name"],
            row["preset"] or "-",
            " ".join(row["changes"]),
            "failed" if row["error"] else "-" if ap is None else f"{ap:.3f}",
            "-" if ap is None else f"{row['epoch']} of {row['epochs']}",
            f"{row['parameters'] / 1e6:.2f} M",
            "-" if row["seconds"] is None else duration(row["seconds"]),
        )
    return table
