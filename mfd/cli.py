"""The `mfd` command: a table of verbs, and what their ends mean as exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import mfd
from mfd.commands import (
    Command,
    as_callback,
    cache,
    compare,
    demo,
    doctor,
    estimate,
    evaluate,
    export,
    extract,
    predict,
    presets,
    push,
    report,
    serve,
    sweep,
    train_head,
)
from mfd.console import say, say_error
from mfd.errors import MfdError
from mfd.stopping import Stopped

VERBS: dict[str, Command] = {  # in the order of use
    "demo": demo,
    "doctor": doctor,
    "estimate": estimate,
    "extract": extract,
    "presets": presets,
    "train-head": train_head,
    "sweep": sweep,
    "evaluate": evaluate,
    "compare": compare,
    "report": report,
    "predict": predict,
    "serve": serve,
    "export": export,
    "push": push,
}

app = typer.Typer(
    rich_markup_mode=None,  # plain help uses the width of a narrow terminal better
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Instance masks for a frozen DETR, trained on cached features.\n\n"
    "Settings come from the nearest mfd.toml, upwards from the working folder; flags override "
    "them.",
)
_stores = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="List, inspect, verify and delete stores."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mfd {mfd.__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None: ...


_SECTIONS = (*VERBS, "cache")
for _name, _verb in VERBS.items():
    app.command(_name)(as_callback(_name, _verb, _SECTIONS))
for _name, _verb in cache.COMMANDS.items():
    _stores.command(_name)(as_callback("cache", _verb, _SECTIONS))
app.add_typer(_stores, name="cache")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it succeeded, 1 with one line if not, 2 for wrong usage.

    A signal that stopped it is 128 and its number, as shells count them.
    """
    spin_briefly()
    try:
        app(args=arguments)
    except SystemExit as exit_:
        stop = exit_.__context__ and exit_.__context__.__cause__
        if isinstance(stop, KeyboardInterrupt):  # typer turns it into an exit, its text unsaid
            say(str(stop) or "stopped")
        if isinstance(stop, Stopped):
            return 128 + stop.signum
        return exit_.code if isinstance(exit_.code, int) else 1
    except MfdError as error:
        say_error(str(error))
        return 1
    except BrokenPipeError:  # such as `mfd presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say_error(format_os_error(error))
        return 1
    except (RuntimeError, MemoryError) as error:
        if (full := full_memory(error)) is None:
            raise
        say_error(full)
        return 1
    return 0


def spin_briefly() -> None:
    """Let PyTorch's threads wait for each other awake for a thirtieth of the usual time.

    Theirs are GNU OpenMP's on Linux. Where another process has a core, the thread that is waited
    for may not run, and the others waste their cores; where none has, this is time enough. To be
    called before PyTorch is loaded. Changes nothing where the environment says how threads wait.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def full_memory(error: RuntimeError | MemoryError) -> str | None:
    """An error of full memory as one line with what to do; None if it is another error."""
    text = " ".join(str(error).split())
    less = "give `extract` a smaller --batch-size, `train-head` a smaller --set batch_size=..."
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return f"the GPU's memory is full ({text.split('. ')[0]}); {less}, or --device cpu"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:  # torch has no class for it
        found = text.partition("DefaultCPUAllocator: ")[2] or text or "nothing more is known"
        return f"the memory is full ({found}); {less} or a smaller --set roi_size=..."
    return None


def format_os_error(error: OSError) -> str:
    """An error of the file system as one line with its path and cause."""
    where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    reason = error.strerror or " ".join(str(error).split())
    return f"{where} ({reason}); look at its path, its permissions and the room on its disk"


if __name__ == "__main__":
    sys.exit(main())
