"""The whole network: padding and training outputs."""

from dataclasses import replace

import pytest
from torch import nn

from tests.builders.deformable import FAMILIES, padded_images, small_network


@pytest.mark.parametrize("family", FAMILIES)
def test_extra_queries_do_not_change_the_others_in_training(family: str) -> None:
    config = replace(FAMILIES[family], extra_queries=7)
    network = small_network(config)
    images, mask = padded_images((64, 96), (96, 64))
    evaluated = network(images, mask)
    trained = network.train()(images, mask)
    assert evaluated.boxes.shape == (3, 2, 11, 4)
    assert trained.boxes.shape == (3, 2, 18, 4)
    assert trained.boxes[:, :, :11].allclose(evaluated.boxes, atol=1e-5)
    assert trained.logits[:, :, :11].allclose(evaluated.logits, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_outputs_reach_every_parameter(family: str) -> None:
    network = small_network(replace(FAMILIES[family], extra_queries=7)).train()
    found = network(*padded_images((64, 96), (96, 64)))
    assert found.selection.all_boxes is not None
    outputs = (found.boxes, found.logits, found.selection.logits, found.selection.all_boxes)
    sum(output.square().mean() for output in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layers_boxes_refine_the_boxes_before_it(family: str) -> None:
    network = small_network(FAMILIES[family])
    for head in network.decoder.box_heads:
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
    found = network(*padded_images((64, 96)))
    start = found.selection.boxes.clamp(1e-3, 1 - 1e-3)
    assert found.boxes.clamp(1e-3, 1 - 1e-3).allclose(start.expand(3, -1, -1, -1), atol=1e-5)


def test_an_image_in_a_padded_batch_gives_what_it_gives_alone() -> None:
    # Not so for DINO, whose query positions are relative to the padded map, officially too.
    config = replace(FAMILIES["hdetr"], strides=(8, 16))  # extra levels see across the edge
    network = small_network(config)
    images, mask = padded_images((64, 96), (96, 48))
    for projection in network.input_proj:
        projection[1] = nn.Identity()  # group norm counts padding, as it does officially
    batch = network(images, mask)
    for number, (height, width) in enumerate([(64, 96), (96, 48)]):
        single = slice(number, number + 1)
        alone = network(images[single, :, :height, :width], mask[single, :height, :width])
        assert alone.boxes.allclose(batch.boxes[:, single], atol=1e-5)
        assert alone.queries.allclose(batch.queries[:, single], atol=1e-4)
