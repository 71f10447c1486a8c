"""The detector and head of a finished run, for commands that predict."""

from typing import TYPE_CHECKING

from mfd import headtrain, opening
from mfd.commands.evaluate import override
from mfd.config import Project

if TYPE_CHECKING:
    from mfd.headtrain import Predictor


def open_predictor(
    project: Project, run: str | None, detector: str | None, weights: str | None, device: str
) -> "Predictor":
    """The run's predictor.

    Args:
        run: its name or folder; None is the latest finished one.
        detector, weights: where they are now, if not where the run says.
        device: as the setting has it.
    """
    where = opening.pick_device(device)
    found = headtrain.Run.find(project.runs, run)
    choice = override(project, found.config.detector, detector, weights)
    own = found.own_detector(opening.open_detector(choice, where))
    return headtrain.Predictor(own, found.load_head(where), found.config.categories)
