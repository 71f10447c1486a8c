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
        "mfd/nn/products.py", "tests/nn",
        ("large products of 16 bits in float32", '        or torch.is_autocast_enabled("cpu")\n', ""),
        ("number of rows exported", "        torch.compiler.is_compiling()  # first", "        False  # first"),
        ("gradient of bias of one row", "grad.sum(0)", "grad[0]"),
    ),
    *faults(
        "mfd/headtrain/head/image_encoders/deformable.py", "tests/headtrain/head",
        ("last layer asks of all levels", "queries=height * width", "queries=None"),
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
        "mfd/cache/format/shards.py", "tests/cache/format",
        ("every chunk placed at the beginning", "            size += num_bytes\n", ""),
        ("checksum of a chunk's last piece alone", "crc32c(part.data, checksum)", "crc32c(part.data)"),
        ("record without the checksums' chunks", "checksums.append((number, checksum))", "checksums.append((0, checksum))"),
        ("chunks one after the other without a gap", "gap = (in_memory - size) % ALIGNMENT", "gap = 0"),
        ("codec meets positions instead of channels", "    if array.planar:\n", "    if not array.planar:\n"),
    ),
    *faults(
        "mfd/cache/format/chunks.py", "tests/cache/format",
        ("checksum read and not compared", '!= int.from_bytes(checksum, "little")', "is None"),
        ("chunks read to any address", "block[-block.ctypes.data % ALIGNMENT :]", "block[1:]"),
        ("gaps of a file not looked at", "if any(os.pread(self._file, offset - end, end)):", "if False:"),
        ("absent chunks left as memory was", "part.fill(0)", "pass"),
        ("other values of the same length taken", "digest != record.rows[place if array.shards else 0]", "digest is None"),
    ),
    *faults(
        "mfd/files.py", "tests/test_files.py",
        ("rest of a short write lost", "                views[0] = views[0][written:]\n", "                views.pop(0)\n"),
        ("end of a file lost", "            calls.write()\n", ""),
        ("renamed before it is on the disk", "            os.fsync(file.fileno())\n", ""),
        ("debris of a failed write left", "                file.unlink()\n", "                pass\n"),
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
