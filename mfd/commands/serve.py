"""`mfd serve`: a page of this machine that shows the masks of images dropped on it."""

from mfd import serve as page
from mfd.commands.declared import DETECTOR, DEVICE, WEIGHTS, run_setting
from mfd.commands.predictor import open_predictor
from mfd.config import Project
from mfd.console import say
from mfd.settings import setting, settings

HELP = "Show masks on a local page: drop an image, move the thresholds, download."
PROJECT = ("runs",)


@settings
class Options:
    """Whose masks are shown, and where."""

    run: str | None = run_setting()
    host: str = setting(
        "Address to listen on; all but 127.0.0.1 lets other machines in.", default="127.0.0.1"
    )
    port: int = setting("Port to listen on; 0: a free one.", default=8000, ge=0, le=65535)
    min_score: float = setting(
        "Minimum score of an instance that the page can show.", default=0.05, ge=0, le=1
    )
    detector: str | None = DETECTOR
    weights: str | None = WEIGHTS
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Load the head, then answer until someone stops it."""
    predictor = open_predictor(
        project, options.run, options.detector, options.weights, options.device
    )
    page.serve(predictor, options.host, options.port, options.min_score, say)
