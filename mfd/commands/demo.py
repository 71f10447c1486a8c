"""`mfd demo`: the whole pipeline on generated images."""

from pathlib import Path

from mfd import demo
from mfd.config import Project
from mfd.settings import setting, settings

HELP = "Run the whole pipeline on generated images, in minutes."
PROJECT = ()


@settings
class Options:
    """Where it happens."""

    out: Path = setting("Output folder; an unfinished demo is resumed.", default=Path("demo"))


def run(project: Project, options: Options) -> None:
    """Generate, extract, train, evaluate, predict."""
    demo.run_demo(options.out)
