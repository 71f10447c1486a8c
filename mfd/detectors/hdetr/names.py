"""What H-DETR's checkpoints call the weights of `DeformableDetr`."""

import re

from mfd.detectors.deformable.names import Renames, head_names, rename

_RENAMES: Renames = (
    (r"^decoder\.content", "query_embed"),
    (r"^decoder\.position\.linear", "transformer.pos_trans"),
    (r"^decoder\.position\.norm", "transformer.pos_trans_norm"),
)


def official_names(name: str, decoder_layers: int) -> tuple[str, ...]:
    """All names of a weight outside the backbone; the proposals' heads count as a last layer's."""
    if match := re.match(r"decoder\.(class|box)_heads\.(\d+)\.(.*)", name):
        layer = int(match[2])
        return head_names(match[1], range(layer, layer + 1), match[3])
    if match := re.match(r"proposals\.(class|box)_head\.(.*)", name):
        return head_names(match[1], range(decoder_layers, decoder_layers + 1), match[2])
    return (rename(name, _RENAMES),)
