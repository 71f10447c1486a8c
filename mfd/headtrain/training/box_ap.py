"""Box AP before and after a detector is trained along, as the run's metrics have it."""

from mfd.distributed import from_first
from mfd.headtrain.runs.run import Run
from mfd.headtrain.training.metrics import MetricsLog, read_metrics
from mfd.headtrain.training.validation import BOX_AP, Validation


def note_first_box_ap(run: Run, validation: Validation) -> None:
    """Add a record of step 0 to the metrics of a run that has not begun, unless it is there."""
    if from_first(lambda: not read_metrics(run.metrics_file)):
        ap = validation.box_ap()
        with MetricsLog(run.metrics_file) as log:
            log.write({"step": 0, "epoch": 0, **({} if ap is None else {BOX_AP: ap})})


def box_ap_change(run: Run) -> str:
    """The first and the last box AP of the metrics, in words."""
    found = [record[BOX_AP] for record in read_metrics(run.metrics_file) if BOX_AP in record]
    if len(found) < 2:
        return "box AP before and after: not measured, there was nothing to validate on; give --val"
    return f"box AP: {found[0]:.3f} before, {found[-1]:.3f} after"
