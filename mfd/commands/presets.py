"""`mfd presets`: the paper's heads and recipes, sizes beside the paper's; and every setting."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from mfd import headtrain
from mfd.config import Project
from mfd.console import out, print_json
from mfd.headtrain import HeadConfig, TrainConfig
from mfd.settings import declared, setting, settings

HELP = "List heads and recipes, our sizes beside the paper's."
PROJECT = ()


@settings
class Options:
    """What is listed, and how."""

    settings: bool = setting("List the fields that --set takes instead.", default=False)
    json: bool = setting("Print JSON for machines.", default=False)


def run(project: Project, options: Options) -> None:
    """Print the presets, or the settings of head and recipe."""
    rows = settings_rows() if options.settings else headtrain.preset_table()
    if options.json:
        print_json(rows)
    else:
        out.print(settings_table(rows) if options.settings else size_table(rows))


def settings_rows() -> list[dict[str, Any]]:
    """Every field of head and recipe: which of the two, name, default, meaning."""
    return [
        {"of": of, "field": field.name, "default": field.default, "meaning": field.text}
        for of, kind in (("head", HeadConfig), ("recipe", TrainConfig))
        for field in declared(kind)
    ]


def settings_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each field."""
    table = Table("of", "field", "default", "meaning")
    for row in rows:
        default = str(row["default"])
        shown = default.lower() if default in ("True", "False", "None") else default
        table.add_row(row["of"], row["field"], shown, row["meaning"].replace("[", r"\["))
    return table


def size_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each preset, our sizes beside the paper's."""
    table = Table(
        "table", caption="parameters in millions, multiply-accumulates in 1e9; mask AP: the paper's"
    )
    table.add_column("preset", no_wrap=True)
    for name in ("params", "paper", "MACs", "paper", "mask AP"):
        table.add_column(name, justify="right")
    for row in rows:
        sizes = (row[key] for key in ("params_m", "paper_params_m", "macs_g", "paper_macs_g"))
        shown = ("-" if value is None else f"{value:.2f}" for value in sizes)
        ap = row["paper_ap"]
        shown_ap = "-" if ap is None else f"{ap:.1f}"
        table.add_row(str(row["table"] or "-"), row["name"], *shown, shown_ap)
    return table
