"""A training step with the head compiled, beside an eager one; run as a program.

Not under pytest, whose checks of shapes cannot be traced. Compiled without code generation: what is
shown is that nothing interrupts the graph.
"""

from dataclasses import replace

import torch

from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.step import train_step
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch


def main() -> None:
    """Raises AssertionError unless losses and gradients agree."""
    torch.set_num_threads(1)
    head, batch = MaskHead(replace(HEAD, query_o2o=True), SPEC).train(), make_batch()
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    optimizer = torch.optim.SGD(head.parameters(), lr=0.0)
    found = []
    for module in (head, compiled):
        values = train_step(module, optimizer, batch, replace(TRAIN, lr=0.0), 0, 9, None).values
        found.append((values, *(p.grad for p in head.parameters())))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    main()
