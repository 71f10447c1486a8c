"""Resolve the names of the views that a head is trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mfd.cache import Store
from mfd.config import Project
from mfd.errors import ConfigError
from mfd.images import parse_view
from mfd.opening.project import open_store


def open_views(
    project: Project,
    split: str,
    names: Sequence[str] | None,
    path: Path | None,
    encoder_layer: int | None,
    source: Mapping[str, Any],
) -> list[Store]:
    """The store of every view, or the one at `path`.

    Args:
        names: of the views; None: those of the run that is resumed, or `base`.
        encoder_layer: layer whose maps are wanted; None: the project's, or any.
        source: what the run that is resumed was trained on; empty for a new one.

    Raises:
        ConfigError: there is no such view, or several are named besides a path.
        StoreError: a view has no store.
    """
    if names is None:
        others = [other["view"] for other in source.get("others", {}).values()]
        names = [source.get("view", "base"), *others]
    views = [parse_view(name.strip()).name for name in names]
    if path is None:
        return [open_store(project, split, None, encoder_layer, view) for view in views]
    if len(views) > 1:
        raise ConfigError(
            f"--store names one store, and the views are {', '.join(views)}; leave one of them out"
        )
    return [open_store(project, split, path, encoder_layer)]
