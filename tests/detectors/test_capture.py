"""Outputs of modules inside a network, taken while it runs."""

import pytest
import torch
from torch import nn

from mfd.detectors import capture_outputs


def test_capture_gives_outputs_in_the_order_of_running_and_only_inside_the_block() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    with capture_outputs(network[2], network[0]) as outputs:
        result = network(x)
    network(x)
    assert len(outputs) == 2
    assert outputs[0].equal(network[0](x))
    assert outputs[1] is result


def test_capture_ends_when_the_block_fails() -> None:
    module = nn.Identity()
    with pytest.raises(ZeroDivisionError), capture_outputs(module) as outputs:
        raise ZeroDivisionError
    module(torch.zeros(1))
    assert outputs == []
