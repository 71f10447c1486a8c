"""The data set that runs were evaluated on, as their evaluations saw it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mfd import headtrain, opening
from mfd.commands.findings import DataOptions, open_named
from mfd.config import Project
from mfd.errors import ConfigError

if TYPE_CHECKING:
    from mfd.coco import CocoDataset


def open_evaluated(
    project: Project, runs: "Sequence[headtrain.Run]", options: DataOptions
) -> "list[CocoDataset]":
    """For each run the named data in the categories of its detector, or without any.

    Raises:
        ConfigError: some of the runs are class-agnostic and some are not.
    """
    agnostic = {run.config.head.class_agnostic for run in runs}
    if len(agnostic) > 1:
        raise ConfigError(
            "some of the runs are class-agnostic and some are not, and their AP cannot be "
            "compared; give runs of one kind"
        )
    dataset = open_named(project, options)
    found: list[CocoDataset] = []
    for place, run in enumerate(runs):
        same = [n for n in range(place) if runs[n].config.spec == run.config.spec]
        if same:
            found.append(found[same[0]])
        else:
            matched = opening.in_categories_of(
                run.config.spec, project, dataset, class_agnostic=agnostic == {True}
            )
            found.append(matched.dataset)
    return found
