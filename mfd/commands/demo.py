"""`mfd demo`: the whole pipeline on generated images."""

from pathlib import Path

from mfd import demo
from mfd.config import Project
from mfd.files import disk_errors
from mfd.settings import setting, settings

HELP = "Run the whole pipeline on generated images, in minutes."
PROJECT = ()


@settings
class Options:
    """Where it happens."""

    out: Path = setting("Output folder; an unfinished demo is resumed.", default=Path("demo"))


def run(project: Project, options: Options) -> None:
    """Generate, extract, train, evaluate, predict."""
    with disk_errors(options.out, "rerun the command, which resumes the demo"):
        demo.run_demo(options.out)
