"""`--detector NAME --weights FILE` for checkpoints of families that Transformers computes."""

import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from mfd.coco import COCO_NAMES
from mfd.detectors.checkpoint import read_content
from mfd.detectors.hf.detector import TransformersDetector
from mfd.detectors.hf.families import FAMILIES
from mfd.detectors.hf.originals import ORIGINALS
from mfd.detectors.hf.originals.original import COUNTER, Original, State
from mfd.detectors.hf.quiet import quiet_transformers
from mfd.detectors.state_dicts import best_fit
from mfd.errors import DetectorError
from mfd.images import Preprocessing

_SHOWN = 3


def load_original(
    name: str,
    weights: str | Path | None,
    encoder_layer: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> TransformersDetector:
    """The detector of an authors' checkpoint, its size told by its weights; on the CPU.

    Args:
        name: a key of `ORIGINALS`.
        weights: the checkpoint; see `mfd.detectors.checkpoint.read_content`.
        encoder_layer: none of these families offers a choice.
        say: is told how the weights were found, if that is unusual, and of how many categories.

    Raises:
        DetectorError: the checkpoint is absent, another family's, or does not fit.
    """
    original = ORIGINALS[name]
    if weights is None:
        raise DetectorError(
            f"the detector {name} needs a checkpoint, from {original.source}; give its path with "
            "--weights"
        )
    content = read_content(weights)
    found = best_fit(content, original.fit)
    if found is None or original.fit(found.weights) < 1:
        raise DetectorError(f"{weights} does not hold {name}; {_advice(content)}")
    try:
        settings = original.settings(found.weights, _training(content))
    except KeyError as error:
        raise DetectorError(
            f"{weights} has no weight {error}, which tells the size of {name}; download it again"
        ) from error
    model = _model(name, weights, original, settings.config, found.weights)
    family = FAMILIES[original.model_type].restored(model)
    preprocessing = Preprocessing(size_hw=settings.size_hw)
    if not settings.normalised:
        preprocessing = replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    detector = TransformersDetector(name, model, family, preprocessing, encoder_layer)
    if found.remark:
        say(f"{weights}: {found.remark}")
    if (columns := settings.config["num_labels"]) not in (80, 91):
        say(f"{weights}: {columns} categories, counted 0 to {columns - 1} as in its training")
    return detector


def _training(content: Any) -> Mapping[str, Any]:
    """What the training was called with, where the file says so."""
    called = content.get("args") if isinstance(content, Mapping) else None
    return vars(called) if isinstance(called, Namespace) else {}


def _model(
    name: str, weights: str | Path, original: Original, config: Mapping[str, Any], state: State
) -> Any:
    """The model with all weights, float32."""
    family = FAMILIES[original.model_type]
    architecture = getattr(transformers, family.architecture)
    columns = config["num_labels"]
    # with 80 columns, all of these families count COCO's categories in their order
    names = COCO_NAMES.values() if columns == len(COCO_NAMES) else ["N/A"] * columns
    translated = original.translate(state).items()
    with quiet_transformers():
        model, loading = architecture.from_pretrained(
            None,
            config=architecture.config_class(**config, id2label=dict(enumerate(names))),
            state_dict={key: value for key, value in translated if not _left_out(key, config)},
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    missing = [key for key in loading["missing_keys"] if not key.startswith(family.unused)]
    problems = {
        "missing": [key for key in missing if not key.endswith(COUNTER)],
        "unexpected": loading["unexpected_keys"],
        "mis-shaped": [key for key, *_ in loading["mismatched_keys"]],
    }
    faults = [
        f"{len(keys)} {kind} ({', '.join(sorted(keys)[:_SHOWN])})"
        for kind, keys in problems.items()
        if keys
    ]
    if faults:
        raise DetectorError(
            f"{weights} does not fit {name} as published: weights {'; '.join(faults)}; it was "
            "trained with another configuration, for which convert it to Transformers' format and "
            "use hf:FOLDER"
        )
    return model


def _left_out(key: str, config: Mapping[str, Any]) -> bool:
    """Whether a weight is of a decoder layer that is not evaluated."""
    found = re.match(r"(?:model\.decoder\.)?(?:layers|class_embed|bbox_embed)\.(\d+)\.", key)
    return found is not None and int(found[1]) >= config["decoder_layers"]


def _advice(content: Any) -> str:
    """Which detector the checkpoint is of, as far as its names tell."""
    for other, original in ORIGINALS.items():
        found = best_fit(content, original.fit)
        if found is not None and original.fit(found.weights) == 1:
            return f"it looks like {other}: use --detector {other}"
    return f"its names are of none of {', '.join(ORIGINALS)}"
