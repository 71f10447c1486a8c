"""What DINO's checkpoints call the weights of `DeformableDetr`."""

import re

from mfd.detectors.deformable.names import Renames, head_names, rename

_RENAMES: Renames = (
    (r"^decoder\.content", "transformer.tgt_embed"),
    (r"^decoder\.position\.mlp", "transformer.decoder.ref_point_head"),
    (r"^decoder\.norm", "transformer.decoder.norm"),
    (r"^proposals\.box_head", "transformer.enc_out_bbox_embed"),
    (r"^proposals\.class_head", "transformer.enc_out_class_embed"),
)


def official_names(name: str, decoder_layers: int) -> tuple[str, ...]:
    """All names of a weight outside the backbone; all decoder layers share their heads."""
    if match := re.match(r"decoder\.(class|box)_heads\.\d+\.(.*)", name):
        return head_names(match[1], range(decoder_layers), match[2])
    return (rename(name, _RENAMES),)
