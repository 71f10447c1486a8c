"""Heads trained side by side, a step of each in turn, until the last has ended."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from mfd.errors import TrainingError
from mfd.headtrain.training.loop import Batches
from mfd.headtrain.training.metrics import Record
from mfd.headtrain.training.training import Training
from mfd.progress import progress
from mfd.stopping import Stopped, stop_requested


def take_turns(
    trainings: Sequence[Training],
    batches: Sequence[Batches],
    say: Callable[[str], object] = lambda line: None,
) -> list[Record | TrainingError]:
    """The last metrics of each head, or why it could not be trained to its end.

    One that fails does not end the others.

    Args:
        trainings: begun, see `Training.begun`.
        batches: of each.
        say: is told why a head fails.

    Raises:
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, when all have written a checkpoint.
    """
    loops = [training.loop for training in trainings if training.loop is not None]
    assert len(loops) == len(trainings), "a head is trained while it is begun"
    ends: dict[int, Record | TrainingError] = {}
    stopped: Stopped | None = None
    with (
        progress(
            "train",
            total=sum(loop.images for loop in loops),
            done=sum(loop.progress.images for loop in loops),
        ) as advance,
        stop_requested() as stop_signal,
        ExitStack() as stack,
    ):

        def heard() -> int:
            return stop_signal() if stopped is None else stopped.signum

        taking = {
            number: stack.enter_context(closing(training.steps(own, heard)))
            for number, (training, own) in enumerate(zip(trainings, batches, strict=True))
        }
        while taking:
            # who is behind; of equals another one at each step, since the first one reads for all
            number = min(
                taking, key=lambda n: (step := loops[n].progress.step, (n - step) % len(loops))
            )
            name = f"{trainings[number].run.name}: " if len(loops) > 1 else ""
            try:
                images, note = next(taking[number])
                advance(images, name + note)
                continue
            except StopIteration as end:
                ends[number] = end.value
            except TrainingError as error:
                ends[number] = error
                say(f"{name}{error}")
            except Stopped as stop:
                if not str(stop):  # a second signal: at once
                    raise
                stopped = stop
            del taking[number]
    if stopped is not None:
        raise stopped
    return [ends[number] for number in range(len(loops))]
