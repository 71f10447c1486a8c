"""`mfd push`: a run's head, with its model card, on the Hugging Face Hub."""

import tempfile
from pathlib import Path

from mfd import headtrain, sharing
from mfd.config import Project
from mfd.console import print_text, say
from mfd.settings import NAME_OR_PATH, setting, settings

HELP = "Upload a run's head and its model card to the Hugging Face Hub."
PROJECT = ("runs",)


@settings
class Options:
    """What is uploaded, and where to."""

    run: str = setting(
        "Name or folder of a run.",
        default="",
        extra={**NAME_OR_PATH, "argument": True, "required": True},
    )
    repository: str = setting(
        "user/repository.", default="", extra={"argument": True, "required": True}
    )
    private: bool = setting("Make a private repository if there is none yet.", default=False)
    license: str | None = setting(
        "Licence of the weights, as the Hub abbreviates it: apache-2.0, cc-by-4.0.", default=None
    )


def run(project: Project, options: Options) -> None:
    """Write the folder, then upload it."""
    run = headtrain.Run.find(project.runs, options.run)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / run.name
        sharing.save_folder(folder, run.config, run.load_head(), run=run, licence=options.license)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            say(f"uploads {path.relative_to(folder)}")
        print_text(sharing.push(folder, options.repository, private=options.private))
