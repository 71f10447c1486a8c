"""What modules inside a network return while it runs, or as far as it is run."""

from collections.abc import Callable, Iterator
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


def run_up_to(module: nn.Module, call: Callable[[], object]) -> Any:
    """What the module returns when the call reaches it; the call ends there."""

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        raise _Reached(output)

    with module.register_forward_hook(leave):
        try:
            call()
        except _Reached as reached:
            return reached.output
    raise AssertionError("the call ended without running the module")


class _Reached(Exception):  # noqa: N818  no error: it ends a call early
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output
