"""Which head is trained and how: a preset or a saved run, with what the command line changes."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from mfd import headtrain
from mfd.config import Project
from mfd.errors import ConfigError
from mfd.headtrain import Augment, Finetune, HeadConfig, Log, TrainConfig
from mfd.settings import replace_from_texts
from mfd.text import suggest

if TYPE_CHECKING:
    import torch

    from mfd.detectors import DetectorSpec


@dataclass(frozen=True)
class Plan:
    """A head and its recipe.

    Attributes:
        name: of the preset; None for a run that had none.
        by_detector: whether the preset was chosen for the detector, and not by anyone.
    """

    name: str | None
    head: HeadConfig
    recipe: TrainConfig
    by_detector: bool = False

    @classmethod
    def of(
        cls,
        preset: "headtrain.Preset | None",
        saved: "headtrain.RunConfig | None",
        spec: "DetectorSpec",
    ) -> "Plan":
        """That of a run that is resumed, else the preset's, else the one that fits the detector."""
        if saved is not None:
            head = preset.config if preset else saved.head
            name = preset.name if preset else saved.preset
            return cls(name, head, saved.train or TrainConfig())
        own = preset or headtrain.default_preset(spec)
        return cls(own.name, own.config, own.recipe, by_detector=preset is None)

    def require_trainable(
        self, spec: "DetectorSpec", device: "torch.device", *, validated: bool
    ) -> None:
        """Refuse what can be seen before targets are built; see `headtrain.require_trainable`."""
        headtrain.require_trainable(self.head, self.recipe, spec, device, validated=validated)

    def val_images(self, source: "headtrain.BatchSource") -> int:
        """How many images are validated on after every epoch of the source."""
        return self.recipe.val_images or headtrain.sample_size(source.images_per_epoch)

    def changed(
        self,
        texts: tuple[str, ...],
        augment: Augment | None,
        finetune: Finetune | None,
        log: Log | None,
    ) -> "Plan":
        """With `field=value` texts applied, each to head or recipe, and what flags say.

        Raises:
            ConfigError: a text that is not field=value, an unknown field or an impossible value.
        """
        head, recipe = _changed(self.head, self.recipe, texts)
        recipe = replace(
            recipe,
            augment=augment or recipe.augment,
            finetune=finetune or recipe.finetune,
            log=log or recipe.log,
        )
        return replace(self, head=head, recipe=recipe)

    def require_stored(self) -> None:
        """Refuse what a store cannot give.

        Raises:
            ConfigError: the recipe needs the detector in the loop.
        """
        for field in ("augment", "finetune"):
            if (value := getattr(self.recipe, field)) != "none":
                raise ConfigError(
                    f"{field}={value} needs the detector in the loop, and on a store it does not "
                    "run; use `mfd train-head --live`, or leave it out"
                )

    def description(self, spec: "DetectorSpec") -> str:
        """Which head it is, why if it was chosen for the detector, and its size."""
        size_hw = spec.preprocessing.size_hw or headtrain.IMAGE_HW
        size = headtrain.head_size(self.head, spec, size_hw)
        why = f" (without C1: {spec.name} has none finer than its encoder's maps)"
        return (
            f"head: {self.name or 'without a name'}"
            f"{why if self.by_detector and not self.head.use_c1 else ''}, "
            f"{size.parameters / 1e6:.2f} M parameters, {size.macs / 1e9:.3g} G "
            f"multiply-accumulates on {size_hw[0]} x {size_hw[1]} pixels with 100 boxes"
        )


def encoder_layer(project: Project, preset: "headtrain.Preset | None") -> int | None:
    """The encoder layer that the head is trained on; None: whichever the store has.

    Raises:
        ConfigError: preset and project name different ones.
    """
    wanted = project.encoder_layer
    if preset is None:
        return wanted
    named = preset.encoder_layer
    if named is not None and wanted is not None and named != wanted:
        raise ConfigError(
            f"preset {preset.name} is about encoder layer {named}, encoder_layer is {wanted}; "
            "leave one of them out"
        )
    return wanted if named is None else named


def _changed(
    head: HeadConfig, recipe: TrainConfig, texts: tuple[str, ...]
) -> tuple[HeadConfig, TrainConfig]:
    of_head, of_recipe = ({field.name for field in fields(part)} for part in (head, recipe))
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f"--set takes field=value, found {text!r}")
        if name not in of_head | of_recipe:
            raise ConfigError(f"there is no setting {name!r}; {suggest(name, of_head | of_recipe)}")
        values[name] = value
    return (
        head.changed({k: v for k, v in values.items() if k in of_head}),
        replace_from_texts(recipe, {k: v for k, v in values.items() if k in of_recipe}),
    )
