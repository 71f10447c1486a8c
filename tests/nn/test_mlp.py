"""Perceptrons."""

import torch
from torch import nn

from mfd.nn import MLP, FeedForward


def test_mlp_has_relu_between_its_layers_only() -> None:
    mlp = MLP(3, 4, 2)
    x = torch.randn(5, 3)
    first, last = mlp.layers
    assert mlp(x).equal(last(first(x).relu()))


def test_feed_forward_has_the_activation_it_is_given() -> None:
    x = torch.randn(5, 3)
    for activation in (nn.GELU, nn.ReLU):
        network = FeedForward(3, 7, activation)
        assert network(x).equal(network.linear2(activation()(network.linear1(x))))
