"""Swin layers against Transformers' and cell by cell, on maps that windows do not divide."""

import itertools

import pytest
import torch
from torch import Tensor
from transformers import SwinConfig
from transformers.models.swin.modeling_swin import SwinLayer as TheirLayer

from mfd.nn.swin import SwinLayer, WindowAttention, relative_index
from tests.builders.batches import error, randomise

NAMES = {
    "attention.relative_position_bias.relative_position_bias_table": "attention.relative_bias",
    "attention.o_proj": "attention.output_proj",
    "layernorm_before": "attention_norm",
    "layernorm_after": "feed_forward_norm",
    "mlp.fc1": "feed_forward.linear1",
    "mlp.fc2": "feed_forward.linear2",
}


def copy_weights(ours: SwinLayer, theirs: TheirLayer) -> None:
    state = ours.state_dict()
    renamed = {}
    for name in theirs.state_dict():
        prefix = next((p for p in NAMES if name.startswith(p)), None)
        if prefix is not None:
            renamed[name] = state[name.replace(prefix, NAMES[prefix])]
        else:  # attention.{q,k,v}_proj.{weight,bias}
            _, projection, kind = name.split(".")
            renamed[name] = state[f"attention.qkv.{kind}"].chunk(3)["qkv".index(projection[0])]
    theirs.load_state_dict(renamed)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(9, 13), (8, 16), (5, 22)])
def test_layer_equals_transformers_with_the_same_weights(
    shifted: bool, size: tuple[int, int]
) -> None:
    window = 4
    ours = SwinLayer(dim=24, num_heads=3, window=window, shifted=shifted)
    randomise(ours)
    config = SwinConfig(window_size=window, hidden_act="gelu", attn_implementation="eager")
    theirs = TheirLayer(config, 24, size, num_heads=3, shift_size=window // 2 if shifted else 0)
    copy_weights(ours, theirs)
    x = torch.randn(2, *size, 24)
    expected, _ = theirs.eval()(x.flatten(1, 2), size)
    assert error(ours(x), expected.view(x.shape)) < 1e-5


def test_only_shifted_windows_pass_on_what_lies_beyond_a_border() -> None:
    x = torch.randn(1, 8, 8, 16)
    changed = x.clone()
    changed[:, :4, :4] = torch.randn(1, 4, 4, 16)
    for shifted, reached in ((False, 4), (True, 6)):
        layer = randomise(SwinLayer(dim=16, num_heads=2, window=4, shifted=shifted))
        difference = (layer(changed) - layer(x)).abs().sum(-1)[0]
        assert difference[:reached, :reached].min() > 0
        assert not difference[reached:].any()
        assert not difference[:, reached:].any()


def test_a_map_smaller_than_a_window_and_no_map_at_all_work() -> None:
    layer = SwinLayer(dim=16, num_heads=2, window=8, shifted=True)
    assert layer(torch.randn(1, 3, 5, 16)).isfinite().all()
    assert layer(torch.randn(0, 8, 8, 16)).shape == (0, 8, 8, 16)


def test_the_bias_index_is_the_offset_of_query_and_key() -> None:
    window = 3
    index = relative_index(window)
    cells = list(itertools.product(range(window), repeat=2))
    for (q, (y, x)), (k, (v, u)) in itertools.product(enumerate(cells), repeat=2):
        assert index[q, k] == (y - v + window - 1) * (2 * window - 1) + x - u + window - 1


def _attend_to_all_cells(attention: WindowAttention, x: Tensor) -> Tensor:
    """The same by a dense mask over all cells of the map, padded to whole windows."""
    height, width, dim = x.shape
    window, shift = attention.window, attention.shift
    rows, columns = height + -height % window, width + -width % window
    padded = torch.zeros(rows, columns, dim)
    padded[:height, :width] = x
    qkv = attention.qkv(padded).view(rows * columns, 3, 2, dim // 2)
    query, key, value = qkv.permute(1, 2, 0, 3)
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    rolled = torch.stack(((place[:, 0] - shift) % rows, (place[:, 1] - shift) % columns), dim=-1)
    same_window = (rolled[:, None] // window == rolled[None] // window).all(-1)
    # A window that wraps around holds cells from opposite edges: those must not meet.
    wraps = (rolled[:, None] - rolled[None] == place[:, None] - place[None]).all(-1)
    offset = (place[:, None] - place[None]).clamp(1 - window, window - 1) + window - 1
    table = attention.relative_bias
    bias = table[offset[..., 0] * (2 * window - 1) + offset[..., 1]].permute(2, 0, 1)
    logits = query @ key.transpose(1, 2) / (dim // 2) ** 0.5 + bias
    logits = logits.masked_fill(~(same_window & wraps), -torch.inf)
    out = (logits.softmax(-1) @ value).transpose(0, 1).reshape(rows, columns, dim)
    return attention.output_proj(out)[:height, :width]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("size", "window"), [((7, 10), 4), ((3, 2), 4), ((4, 9), 3)])
def test_windows_hold_neighbours_only_also_on_small_maps(
    size: tuple[int, int], window: int, shifted: bool
) -> None:
    attention = randomise(WindowAttention(8, 2, window, window // 2 if shifted else 0), 1.0)
    x = torch.randn(2, *size, 8)
    for image, found in zip(x, attention(x), strict=True):
        assert error(found, _attend_to_all_cells(attention, image)) < 1e-5
