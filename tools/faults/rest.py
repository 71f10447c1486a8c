"""Faults of stores, geometry, commands and benchmarks."""

# ruff: noqa: E501

from .fault import faults

# fmt: off
REST = [
    *faults(
        "benchmarks/plan.py", "tests/benchmarks/test_gpu.py",
        ("work begun after the end of the time", "self.elapsed >= self._seconds", "False"),
    ),
    *faults(
        "benchmarks/compare.py", "tests/benchmarks/test_gpu.py",
        ("wrong results timed", "if not error <= limit:", "if error != error:"),
    ),
    *faults(
        "mfd/memory.py", "tests/test_memory.py",
        ("large blocks given back", "        mallopt(_MMAP_MAX, 0)\n", ""),
    ),
    *faults(
        "mfd/nn/boxes.py", "tests/nn",
        ("boxes of double size", "centre - size / 2, centre + size / 2", "centre - size, centre + size"),
    ),
    *faults(
        "mfd/opening/project.py", "tests/commands",
        ("layer of --store not checked", "store.spec.encoder_layer != layer", "False"),
    ),
    *faults(
        "mfd/cache/format/encodings/int8.py", "tests/cache/format",
        ("int8 in 63 steps", "_STEPS = 127", "_STEPS = 63"),
        ("int8 scale by the largest value's sign", "largest.maximum(-least)", "largest"),
    ),
    *faults(
        "mfd/coco/categories.py", "tests/coco",
        ("a category of COCO lost", "range(1, 91)", "range(1, 90)"),
    ),
    *faults(
        "mfd/commands/train_head.py", "tests/commands",
        ("encoder layer of a preset ignored", "encoder_layer(project, preset)", "project.encoder_layer"),
    ),
    *faults(
        "mfd/commands/predictor.py", "tests/commands",
        ("detector of the run ignored", "override(project, found.config.detector,", "override(project, project.choice,"),
        ("category names of the run ignored", "found.load_head(where), found.config.categories)", "found.load_head(where), {})"),
    ),
    *faults(
        "mfd/api.py", "tests/test_api.py",
        ("layer of the run ignored", "own.encoder_layer if encoder_layer is None else encoder_layer,", "encoder_layer,"),
    ),
]
