"""`mfd train-head` and `mfd evaluate` by several processes, forked from one that imported torch.

`python -m tests.commands.rank_driver FOLDER` makes a project in FOLDER and trains the same head by
1, 2 and 3 processes, from the store and beside the detector, which is trained too by 1 and 2;
sweeps that head and another one by two; kills one of two and resumes that run by three; asks one of
two to stop; evaluates by 1 and 3. What each process says is in FOLDER/WHAT-RANK.txt. Prints, as
JSON, the exit codes, and what `sum_gradients` made of three ranks' gradients.
"""

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mfd import distributed
from mfd.cli import main as mfd
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.stored import StoredSource
from tests.builders.project import SMALL, small_project

RECIPE = [
    *SMALL,
    *(f"--set={s}" for s in ("epochs=3", "batch_size=4", "log_every=1", "box_jitter=0.2")),
    *("--set=ema_decay=0.5", "--set=checkpoint_every=2"),
]
"""Of 13 images with objects: each fourth step has one, so that two of three ranks have none."""

SIGNALLED_AT = 7
PLAIN = StoredSource.batches
TUNED = [
    *("--live", "--detector=demo", "--finetune=transformer", "--val=none", "--mask-fraction=0.4"),
    *("--set=epochs=1", "--set=batch_size=2", "--set=log_every=1"),
]


@contextmanager
def rank_1_gets(signum: signal.Signals) -> Iterator[None]:
    """Within it, rank 1 sends itself the signal in a step, and the others none."""

    def batches(
        self: StoredSource, start: int, stop: int
    ) -> Generator[TrainingBatch | None, None, None]:
        for step, batch in enumerate(PLAIN(self, start, stop), start):
            if step == SIGNALLED_AT and distributed.rank() == 1:
                os.kill(os.getpid(), signum)
            yield batch

    StoredSource.batches = batches  # type: ignore[method-assign]
    yield
    StoredSource.batches = PLAIN  # type: ignore[method-assign]


def summed() -> None:
    """Print what becomes of gradients: of all ranks, of one, of none; and of a further number."""
    with distributed.joined(torch.device("cpu")):
        rank = distributed.rank()
        whole, single, unused = (torch.zeros(2, 3, requires_grad=True) for _ in range(3))
        whole.grad = torch.arange(6.0).view(3, 2).t() * 10**rank  # not contiguous
        single.grad = torch.ones(2, 3) if rank == 1 else None
        there = whole.grad
        further = distributed.sum_gradients([whole, single, unused], torch.tensor([rank + 1.0]))
        assert whole.grad is there, "a gradient has been moved"
        grads = [None if p.grad is None else p.grad.tolist() for p in (whole, single, unused)]
        found = distributed.gathered([*grads, further.tolist()])
    sys.stdout.write(json.dumps(found) + "\n")


def launch(count: int, what: str, *command: str) -> list[int]:
    """The exit codes of so many processes that run the command as torchrun would start them.

    Without a command they run `summed`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = []
    for rank in range(count):
        if not (pid := os.fork()):
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            said = os.open(f"{what}-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(said, stream)
            torch.set_num_threads(1)  # a fork's first call renews torch's pool, not thread-safely
            code = 99
            try:
                code = mfd(command) if command else summed() or 0
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def main() -> None:
    torch.set_num_threads(1)
    report = {}

    def train(count: int, name: str, *more: str) -> None:
        report[name] = launch(count, name, "train-head", "--run", name, *more)

    with small_project(Path(sys.argv[1])):
        for count in (1, 2, 3):
            train(count, f"stored-{count}", *RECIPE)
        for count in (1, 3):
            train(count, f"live-{count}", *RECIPE, "--set=epochs=1", "--live", "--val=none")
        for count in (1, 2):
            train(count, f"tuned-{count}", *SMALL, *TUNED)
        report["swept"] = launch(2, "swept", "sweep", "swept:lr=1e-3", "steep:lr=5e-3", *RECIPE)
        with rank_1_gets(signal.SIGKILL):
            train(2, "killed", *RECIPE)
        with rank_1_gets(signal.SIGTERM):
            train(2, "stopped", *RECIPE)
        report["resumed"] = launch(3, "resumed", "train-head", "--run", "killed", "--resume")
        train(5, "many", *RECIPE)
        for count in (1, 3):
            name = f"evaluated-{count}"
            report[name] = launch(count, name, "evaluate", "stored-1", "--json", "--baselines")
            Path("runs/stored-1/evaluations").rename(name)
        report["summed"] = launch(3, "summed")
    sys.__stdout__.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
