"""Several heads from one pass over their store, each as if it were trained alone."""

from collections.abc import Sequence
from contextlib import ExitStack, closing

from mfd.errors import ConfigError, TrainingError
from mfd.headtrain.sources.shared import SharedReading
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.training.training import Say, Training
from mfd.headtrain.training.turns import take_turns


def sweep(
    trainings: Sequence[Training], *, resume: bool = False, say: Say = lambda line: None
) -> dict[str, TrainingError]:
    """Train every head; what is returned says, by the names of their runs, why some failed.

    Every head becomes, to the bit, the one that `train` makes of it, and its run is like any other.
    Those that read the same images at every step are trained side by side and read them once: they
    may differ in everything but seed, batch size, and which images have boxes to train. Heads that
    differ in these are trained one group after the other.

    Args:
        trainings: on stores and one device, each with a run of its own.
        resume: continue from each run's latest checkpoint; a run that has not begun begins.
        say: is told, line by line, which heads read together, and how they fare.

    Raises:
        ConfigError: a head that is trained without a store.
        TrainingError: a run is another one, or another process trains it.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, when all have written a checkpoint.
    """
    failed: dict[str, TrainingError] = {}
    for group in _alike(trainings):
        names = ", ".join(training.run.name for training in group)
        say(f"read {'together' if len(group) > 1 else 'alone'}: {names}")
        failed |= _side_by_side(group, resume, say)
    return failed


def _alike(trainings: Sequence[Training]) -> list[list[Training]]:
    """The trainings, those together that read the same images."""
    groups: list[list[Training]] = []
    for training in trainings:
        for group in groups:
            if _store_of(training).reads_like(_store_of(group[0])):
                group.append(training)
                break
        else:
            groups.append([training])
    return groups


def _side_by_side(
    trainings: Sequence[Training], resume: bool, say: Say
) -> dict[str, TrainingError]:
    """Train them on one reading, and return why those failed that did."""
    with ExitStack() as stack:
        left = []
        for training in trainings:
            begun = training.begun(resume=resume, say=_named(training, say))
            if stack.enter_context(begun) is not None:
                left.append(training)
        if not left:
            return {}
        reading = SharedReading([_store_of(training) for training in left], left[0].device)
        stack.enter_context(closing(reading))
        ends = take_turns(left, [reading.batches(number) for number in range(len(left))], say)
    failed = {}
    for training, end in zip(left, ends, strict=True):
        if isinstance(end, TrainingError):
            failed[training.run.name] = end
        else:
            training.conclude(_named(training, say))
    return failed


def _named(training: Training, say: Say) -> Say:
    return lambda line: say(f"{training.run.name}: {line}")


def _store_of(training: Training) -> StoredSource:
    if not isinstance(training.source, StoredSource):
        raise ConfigError(
            f"{training.run.name} runs the detector on every batch, and a sweep is a pass over a "
            "store; train it alone"
        )
    return training.source
