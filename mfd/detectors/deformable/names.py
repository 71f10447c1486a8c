"""What official checkpoints call the weights of `DeformableDetr`, as far as all families agree."""

from collections.abc import Iterable

from mfd.detectors.keys import Renames

SHARED: Renames = (
    (r"^level_embed", "transformer.level_embed"),
    (r"^encoder", "transformer.encoder"),
    (r"^decoder\.layers", "transformer.decoder.layers"),
    (r"(encoder\.layers\.\d+)\.self_attn_norm", r"\1.norm1"),
    (r"(encoder\.layers\.\d+)\.feedforward_norm", r"\1.norm2"),
    (r"(decoder\.layers\.\d+)\.cross_attn_norm", r"\1.norm1"),
    (r"(decoder\.layers\.\d+)\.self_attn_norm", r"\1.norm2"),
    (r"(decoder\.layers\.\d+)\.feedforward_norm", r"\1.norm3"),
    (r"^proposals\.output_norm", "transformer.enc_output_norm"),
    (r"^proposals\.output", "transformer.enc_output"),
)
_HEADS = {"class": "class_embed", "box": "bbox_embed"}


def head_names(kind: str, layers: Iterable[int], rest: str) -> tuple[str, ...]:
    """The official names of a "class" or "box" head that serves these layers, each twice."""
    heads = [f"{_HEADS[kind]}.{layer}.{rest}" for layer in layers]
    return (*heads, *(f"transformer.decoder.{head}" for head in heads))
