"""Swin layers against Transformers' with the same weights, on maps that windows do not divide."""

import pytest
import torch
from transformers import SwinConfig
from transformers.models.swin.modeling_swin import SwinLayer as TheirLayer

from mfd.headtrain.head.swin import SwinLayer
from tests.headtrain.head.toy import error, randomise

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
def test_it_computes_what_transformers_computes_with_the_same_weights(
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
