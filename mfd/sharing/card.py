"""The model card of a shared head: the README.md that people and the Hub read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mfd.errors import ConfigError
from mfd.headtrain import RunConfig
from mfd.text import duration, printable, size

_FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def model_card(
    config: RunConfig,
    evaluations: Sequence[tuple[str, Mapping[str, Any]]],
    cost: Mapping[str, Any],
    *,
    name: str,
    licence: str | None,
    with_detector: bool,
) -> str:
    """Markdown with the Hub's header: detector, data, AP, cost, licence, use.

    Args:
        config: of the run, without paths of this machine.
        evaluations: figures by split and store.
        cost: seconds and bytes of every stage.
        name: of the model.
        licence: an identifier of the Hub, such as "apache-2.0"; None: the card says that none is
            given.
        with_detector: whether the detector's weights are in the folder.

    Raises:
        ConfigError: the licence is no identifier.
    """
    if licence is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        raise ConfigError(
            f"the licence is {licence!r}, expected an identifier such as apache-2.0 or cc-by-4.0"
        )
    header = [
        "---",
        "library_name: mfd",
        "pipeline_tag: image-segmentation",
        "tags: [instance-segmentation, mask-frozen-detr]",
        *([f"license: {licence.lower()}"] if licence else []),
        "---",
    ]
    parts = [
        "\n".join(header),
        f"# {_plain(name)}",
        "Instance masks for the boxes of a frozen detector: a mask head in the format of mfd, an "
        "implementation of *Mask Frozen-DETR* (Liang and Yuan, 2023).",
        _section("Detector", _detector(config, with_detector)),
        _section("Data", _data(config)),
        _section("Results", _results(evaluations)),
        _section("Cost", _cost(cost)),
        _section("Licence", _licence(licence, with_detector)),
        _section("Use", _use(config, with_detector)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _plain(text: str) -> str:
    """The text on one line, without what Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", printable(text)).replace("\\<", "&lt;")


def _code(text: object) -> str:
    return f"`{printable(str(text)).replace('`', chr(39))}`"


def _detector(config: RunConfig, with_detector: bool) -> str:
    choice, spec = config.detector, config.spec
    lines = [
        f"- {_code(choice.name)}"
        + (f", weights {_code(choice.weights)}" if choice.weights else ""),
        f"- digest of the weights: {_code(spec.weights_digest)}",
    ]
    if spec.encoder_layer:
        lines.append(f"- maps of encoder layer {spec.encoder_layer}")
    if with_detector:
        lines.append("- trained along with the head; the trained weights are in this repository")
    else:
        lines.append("- frozen; its weights are not in this repository")
    return "\n".join(lines)


def _data(config: RunConfig) -> str:
    source, train = config.source, config.train
    lines = []
    if images := source.get("images", {}):
        split = _code(source.get("split", "unnamed"))
        views = [source.get("view", "base")]
        views += [other.get("view", "base") for other in source.get("others", {}).values()]
        count = images.get("count", "?")
        lines.append(f"- split {split}, {count} images, views {', '.join(map(_code, views))}")
    else:
        lines.append("- not recorded")
    if train is not None:
        lines.append(
            f"- {train.epochs:g} epochs in batches of {train.batch_size}, learning rate "
            f"{train.lr:g}, preset {_code(config.preset or 'none')}"
        )
    names = {**config.categories, **config.spec.names}
    shown = [names.get(id_, str(id_)) for id_ in config.spec.category_ids]
    lines.append(f"- {len(shown)} categories: {', '.join(map(_code, shown))}")
    return "\n".join(lines)


def _results(evaluations: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    if not evaluations:
        return "Not evaluated."
    lines = [
        "| split | images | | AP | AP50 | AP75 | AP small | AP medium | AP large |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in evaluations:
        split = _plain(str(figures.get("split") or name))
        for kind, label in (("box", "boxes, the detector's own"), ("mask", "masks")):
            values = (figures.get(f"{kind}_{figure}") for figure in _FIGURES)
            cells = " | ".join("-" if v is None else f"{v:.3f}" for v in values)
            lines.append(f"| {split} | {figures.get('images', '-')} | {label} | {cells} |")
    return "\n".join([*lines, "", "COCO's metrics, measured by `mfd evaluate`."])


def _cost(cost: Mapping[str, Any]) -> str:
    lines = ["| stage | time | data | device |", "|---|---|---|---|"]
    for stage, entry in cost.items():
        if isinstance(entry, Mapping) and entry.get("seconds") is not None:
            data = "-" if entry.get("bytes") is None else size(entry["bytes"])
            device = _plain(str(entry.get("device", "-")))
            lines.append(f"| {_plain(stage)} | {duration(entry['seconds'])} | {data} | {device} |")
    return "\n".join(lines) if len(lines) > 2 else "Not recorded."


def _licence(licence: str | None, with_detector: bool) -> str:
    own = f"{licence.lower()}." if licence else "None was given; ask whoever published this model."
    return own if with_detector else f"{own} The detector's weights have their own."


def _use(config: RunConfig, with_detector: bool) -> str:
    choice, arguments = config.detector, ['"hf://USER/REPOSITORY"']
    if ".py:" in choice.name:
        arguments.append(f'detector="PATH/{printable(choice.name)}"')
    elif choice.name.startswith("hf:./"):
        arguments.append(f'detector="hf:PATH/{printable(choice.name[5:])}"')
    if choice.weights:
        arguments.append(f'weights="PATH/{printable(choice.weights)}"')
    code = (
        "from mfd import MaskFrozenDETR\n\n"
        f"model = MaskFrozenDETR.from_pretrained({', '.join(arguments)})\n"
        'for instance in model("street.jpg"):\n'
        "    print(instance.category, instance.class_score, instance.mask.sum())"
    )
    return f"```python\n{code}\n```"
