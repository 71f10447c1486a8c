"""The decoder: how gradients pass from layer to layer, and the positions of its queries."""

import torch

from mfd.detectors.deformable.decoder import InitialPosition, ReferencePosition
from tests.builders.deformable import FAMILIES, padded_images, small_network


def test_gradients_of_a_layers_boxes_reach_its_head_and_the_one_before() -> None:
    network = small_network(FAMILIES["hdetr"])
    found = network(*padded_images((64, 96)))
    biases = [head.layers[-1].bias for head in network.decoder.box_heads]
    for layer, boxes in enumerate(found.boxes):
        gradients = torch.autograd.grad(boxes.sum(), biases, retain_graph=True, allow_unused=True)
        reached = [gradient is not None and bool(gradient.any()) for gradient in gradients]
        assert reached == [head in (layer - 1, layer) for head in range(3)]


def test_the_initial_position_is_half_of_what_is_projected() -> None:
    position = InitialPosition(32)
    boxes = torch.rand(2, 5, 4)
    found = position(boxes)
    assert found.shape == (2, 5, 32)
    with torch.no_grad():
        position.norm.weight[32:] += 1
    assert position(boxes).equal(found)


def test_the_reference_position_takes_y_before_x() -> None:
    position = ReferencePosition(32)
    seen = []
    position.mlp.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    boxes = torch.rand(2, 5, 4)
    position(boxes)
    position(boxes[..., [1, 0, 2, 3]])
    x_first, y_first = seen[1][..., :16], seen[0][..., 16:32]
    assert x_first.equal(y_first)
