"""What modules inside a network return while it runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn


@contextmanager
def capture_outputs(*modules: nn.Module) -> Iterator[list[Any]]:
    """A list that fills with what the modules return, in the order in which they run.

    For detectors whose forward pass does not return all that `DetectorOutput` needs:

        with capture_outputs(model.backbone.layer1) as stage1:
            output = model(images)
        c1 = stage1[0].permute(0, 2, 3, 1)
    """
    outputs: list[Any] = []
    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(
                module.register_forward_hook(lambda _, inputs, output: outputs.append(output))
            )
        yield outputs
