"""The heads of a sweep as they are given, and what they are to be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mfd import headtrain
from mfd.commands.declared import HeadTraining
from mfd.commands.material import StoredMaterial, open_stored
from mfd.commands.plan import Plan, encoder_layer
from mfd.config import Project
from mfd.errors import ConfigError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Wanted:
    """One head of a sweep, as it is given.

    Attributes:
        name: of its run.
        preset: None: that of all heads.
        changes: `field=value` texts.
    """

    name: str
    preset: str | None
    changes: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """What `NAME:PRESET,field=value` says; of a name alone, it is the preset too."""
        name, colon, rest = (part.strip() for part in text.partition(":"))
        parts = [part.strip() for part in rest.split(",") if part.strip()] if colon else [name]
        preset = parts.pop(0) if parts and "=" not in parts[0] else None
        return cls(name, preset, tuple(parts))


def parse_heads(texts: Sequence[str]) -> list[Wanted]:
    """The heads that are given as texts.

    Raises:
        ConfigError: there are none, or two have one name.
    """
    wanted = list(map(Wanted.parse, texts))
    names = [each.name for each in wanted]
    if not names:
        raise ConfigError(
            "there are no heads to train; give some, such as `mfd sweep paper fast:paper,lr=3e-4`, "
            'or put heads = ["paper", "fast:paper,lr=3e-4"] under [sweep] in mfd.toml'
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two heads are called {twice[0]!r}; give each a name of its own")
    return wanted


def open_wanted(
    project: Project, options: HeadTraining, wanted: Sequence[Wanted], device: "torch.device"
) -> tuple[StoredMaterial, list[Plan]]:
    """The stores that all heads are trained on, and what each head is to be.

    Raises:
        ConfigError: a head that cannot be, or heads that cannot have one store and its targets.
    """
    presets, layers = [], {}
    for each in wanted:
        with about(each.name):
            name = each.preset or options.preset
            preset = headtrain.find_preset(name) if name else None
            layers[encoder_layer(project, preset)] = each.name
            presets.append(preset)
    _require_one("encoder_layer", layers)
    (layer,) = layers
    material = open_stored(
        project, options.split, options.views, options.store, layer, None, device
    )
    plans = []
    for each, preset in zip(wanted, presets, strict=True):
        with about(each.name):
            plan = Plan.of(preset, None, material.spec)
            plan = plan.changed((*options.set, *each.changes), None, None, options.log)
            plan.require_stored()
            plan.head.check(material.spec)
            plans.append(plan)
    agnostic = {
        plan.head.class_agnostic: each.name for each, plan in zip(wanted, plans, strict=True)
    }
    _require_one("class_agnostic", agnostic)
    return material, plans


def _require_one(setting: str, names: dict[Any, str]) -> None:
    """Nothing, if all heads have one value of a setting; the names are of a head for each value."""
    if len(names) > 1:
        found = ", ".join(f"{value} for {name}" for value, name in names.items())
        raise ConfigError(
            f"{setting} is {found}; heads of one sweep share stores and targets, so give it one "
            "value, or sweep these heads apart"
        )


@contextmanager
def about(name: str) -> Iterator[None]:
    """Whatever is wrong with a head's settings is said with its name."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
