"""A head's folder to pass on: weights, configuration, figures and model card, no paths of here."""

import shutil
from pathlib import Path
from typing import Any

from mfd.errors import ConfigError
from mfd.files import new_folder, write_json
from mfd.headtrain import MaskHead, Run, RunConfig, evaluations_of, portable
from mfd.sharing.card import model_card

CARD = "README.md"


def save_folder(
    folder: Path,
    config: RunConfig,
    head: MaskHead,
    *,
    run: Run | None = None,
    licence: str | None = None,
) -> None:
    """Write the head as a folder that `Run.open` reads, whole or not at all.

    Args:
        folder: must not exist, or be empty.
        config: of the head; paths of this machine are left out.
        run: where figures, costs, and a detector that was trained along are taken from.
        licence: of the weights, as the Hub abbreviates it.

    Raises:
        ConfigError: the folder is in use, or the licence is no identifier.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder; choose another one")
    evaluations = [] if run is None else evaluations_of(run)
    cost = {} if run is None else {k: _without_paths(v) for k, v in run.cost().items()}
    trained = run.detector_file if run is not None and run.detector_file.exists() else None
    config = portable(config)
    card = model_card(
        config,
        evaluations,
        cost,
        name=folder.name if run is None else run.name,
        licence=licence,
        with_detector=trained is not None,
    )
    with new_folder(folder) as unfinished:
        shared = Run(unfinished)
        shared.begin(config, resume=False)
        if cost:
            shared.write_cost(cost)
        for name, figures in evaluations:
            (evaluation := unfinished / "evaluations" / name).mkdir(parents=True)
            write_json(evaluation / "evaluation.json", figures)
        (unfinished / CARD).write_text(card, encoding="utf-8")
        if trained is not None:
            shutil.copyfile(trained, shared.detector_file)
        shared.save_head(head)


def _without_paths(entry: Any) -> Any:
    """A stage of the ledger: of files, only their names."""
    if not isinstance(entry, dict):
        return entry
    return {
        key: Path(value).name if isinstance(value, str) and "/" in value else value
        for key, value in entry.items()
    }
