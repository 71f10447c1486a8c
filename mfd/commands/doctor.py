"""`mfd doctor`: what is wrong with environment, data, detector and stores."""

from pathlib import Path

from mfd import doctor
from mfd.commands.declared import ANNOTATIONS, IMAGES
from mfd.config import Project
from mfd.console import print_text
from mfd.settings import setting, settings

HELP = "Check environment, data and detector, and say what to fix."
PROJECT = ("data", "stores", "runs", "detector", "weights", "encoder_layer", "exif")


@settings
class Options:
    """What is examined."""

    split: str | None = setting("Only this one (default: all of the data).", default=None)
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS


def run(project: Project, options: Options) -> int:
    """Print the findings; 1 if one of them is a fault."""
    findings = doctor.examine(project, options.split, options.images, options.annotations)
    for finding in findings:
        print_text(f"{'ok ' if finding.good else 'BAD'}  {finding.text}")
    return int(not all(finding.good for finding in findings))
