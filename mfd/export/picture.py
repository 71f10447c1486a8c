"""A picture in, instances out: what stands before and behind a model in its ONNX file.

ONNX script, because sizes depend on values here: how large the detector wants a picture, how many
instances there are.
"""

# mypy: disable-error-code="untyped-decorator"

from collections.abc import Mapping
from typing import Any

import onnx.inliner
from onnx import ModelProto, TensorProto
from onnx.compose import add_prefix, merge_models
from onnx.helper import make_opsetid
from onnx.utils import Extractor
from onnxscript import BOOL, DOUBLE, FLOAT, INT64, UINT8, script
from onnxscript import opset18 as op

from mfd.export.modules import Detections
from mfd.export.onnx import OPSET

BATCH = ("images", "image_hw")
"""The inputs of a model, between which and its `Detections` the whole file can be cut."""

PICTURE = ("picture_height", "picture_width")
"""The names of its open sizes."""


def with_picture(content: bytes, facts: Mapping[str, Any], least: int) -> bytes:
    """A model as a file that takes a picture, and gives what `mfd predict` finds in it.

    Args:
        content: of `mfd.export.modules.ImageModule`.
        facts: about it, `mfd.export.write.facts_of`.
        least: height and width that it takes.
    """
    model = onnx.load_from_string(content)
    before, behind = before_model(facts, least), behind_model(facts)
    before.ir_version = behind.ir_version = model.ir_version
    del before.graph.output[: len(BATCH)]
    before.graph.output.extend(model.graph.input)  # with the names of its open sizes
    whole = merge_models(before, model, [(name, name) for name in BATCH])
    joints = ("size_hw", *Detections._fields)
    whole = merge_models(whole, behind, [(name, name) for name in joints])
    whole.producer_name = model.producer_name
    _only_standard(whole)
    for value in (*whole.graph.input, *whole.graph.output):
        names = PICTURE if value.name == "image" else ("instances", *PICTURE)
        for size, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if not size.HasField("dim_value"):
                size.dim_param = name
    return whole.SerializeToString()


def without_picture(content: bytes) -> bytes:
    """The model alone, of batches of prepared images, of a file that `with_picture` made."""
    whole = onnx.load_from_string(content)
    model = Extractor(whole).extract_model(list(BATCH), list(Detections._fields))
    model.metadata_props.extend(whole.metadata_props)
    return model.SerializeToString()


@script()
def _resize(count: DOUBLE, wanted: DOUBLE) -> DOUBLE[None, None]:
    """The weights of `count` pixels in `wanted` ones: Pillow's bilinear filter, in 22 bits."""
    none, one = op.CastLike(0, count), op.CastLike(1, count)
    step = count / wanted
    centres = op.Unsqueeze((op.Range(none, wanted, one) + 0.5) * step, [1])
    distances = op.Abs(op.Range(none, count, one) + 0.5 - centres) / op.Max(step, 1.0)
    weights = op.Max(1.0 - distances, 0.0)
    weights = weights / op.ReduceSum(weights, [1])
    return op.Floor(weights * 4194304.0 + 0.5) / 4194304.0


def before_model(facts: Mapping[str, Any], least: int) -> ModelProto:
    """From a picture to a batch of one, as `mfd.images.prepare_image` and padding make it."""
    how = facts["preprocessing"]
    short, long = float(how["shorter_side"]), float(how["longer_side"])
    multiple, step = float(how["multiple_of"]), float(facts["padding_step"])
    smallest = -(-least // step) * step
    fixed = [float(side) for side in how["size_hw"] or ()]
    mean, std = list(map(float, how["mean"])), list(map(float, how["std"]))

    @script()
    def given(size: DOUBLE[2]) -> DOUBLE[2]:
        return op.CastLike(op.Constant(value_floats=fixed), size)

    @script()
    def kept_in_shape(size: DOUBLE[2]) -> DOUBLE[2]:
        # as mfd.images.input_size
        shorter, longer = op.ReduceMin(size), op.ReduceMax(size)
        target = op.Min(short, op.Max(1.0, op.Round(long * shorter / longer)))
        other = op.Floor(target * longer / shorter)
        other = op.Where(target == 1.0, op.Min(other, long), other)
        sides = op.Where(size == shorter, target, other)
        return op.Max(multiple, sides - op.Mod(sides, multiple, fmod=1))

    size_of = given if fixed else kept_in_shape

    @script()
    def before(image: UINT8[None, None, 3]) -> tuple[FLOAT[1, 3, None, None], INT64[2], INT64[2]]:
        size_hw = op.Shape(image, end=2)
        size = op.Cast(size_hw, to=TensorProto.DOUBLE)
        sides = size_of(size)
        rows = _resize(op.Gather(size, 0), op.Gather(sides, 0))
        columns = _resize(op.Gather(size, 1), op.Gather(sides, 1))
        planes = op.CastLike(op.Transpose(image, perm=[2, 0, 1]), size)
        planes = op.Floor(op.MatMul(planes, op.Transpose(columns, perm=[1, 0])) + 0.5)
        planes = op.Cast(op.Floor(op.MatMul(rows, planes) + 0.5), to=TensorProto.FLOAT)
        middle = op.Unsqueeze(op.Constant(value_floats=mean), [1, 2])
        spread = op.Unsqueeze(op.Constant(value_floats=std), [1, 2])
        pixels = op.Unsqueeze((planes / 255.0 - middle) / spread, [0])
        margin = op.Max(op.Ceil(sides / step) * step, smallest) - sides
        pads = op.Concat([0, 0, 0, 0, 0, 0], op.Cast(margin, to=TensorProto.INT64), axis=0)
        images = op.Pad(pixels, pads)
        image_hw = op.Cast(sides, to=TensorProto.INT64)
        return images, image_hw, size_hw

    return _model(before, "before/")


@script()
def _paste(low: DOUBLE[None, 1], high: DOUBLE[None, 1], count: INT64, cells: INT64) -> FLOAT:
    """Along one axis, the weights (n, count, cells) of n masks' cells in an image's pixels.

    A mask lies from `low` to `high`, in parts of the image; outside all weights are 0.
    """
    pixels = op.CastLike(count, low)
    one, none = op.CastLike(1, low), op.CastLike(0, low)
    centres = op.Range(none, pixels, one) + 0.5
    start, stop = low * pixels, high * pixels
    inside = op.And(centres >= start, centres < stop)
    last = op.CastLike(cells, low) - 1.0
    place = (centres - start) / (stop - start) * (last + 1.0) - 0.5
    place = op.Unsqueeze(op.Clip(place, none, last), [2])
    weights = op.Max(1.0 - op.Abs(place - op.Range(none, last + 1.0, one)), 0.0)
    weights = op.Where(op.Unsqueeze(inside, [2]), weights, none)
    return op.Cast(weights, to=TensorProto.FLOAT)


def behind_model(facts: Mapping[str, Any]) -> ModelProto:
    """From the detections of one image to its instances: each query's best, best first."""
    threshold = float(facts["threshold"])

    @script()
    def behind(
        size_hw: INT64[2],
        boxes: FLOAT[1, None, 4],
        scores: FLOAT[1, None],
        labels: INT64[1, None],
        queries: INT64[1, None],
        quality: FLOAT[1, None],
        masks: FLOAT[1, None, None, None],
        frames: FLOAT[1, None, 4],
        min_score: FLOAT[1],
    ) -> tuple[INT64[None], FLOAT[None], FLOAT[None], FLOAT[None, 4], BOOL[None, None, None]]:
        _, best, _, _ = op.Unique(op.Squeeze(queries, [0]))
        score = op.Gather(op.Squeeze(scores, [0]), best)
        best = op.Compress(best, score >= min_score)
        ranks = op.Gather(op.Squeeze(scores * quality, [0]), best)
        _, order = op.TopK(ranks, op.Shape(ranks))
        chosen = op.Gather(best, order)
        category_id = op.Gather(op.Squeeze(labels, [0]), chosen)
        class_score = op.Gather(op.Squeeze(scores, [0]), chosen)
        mask_quality = op.Gather(op.Squeeze(quality, [0]), chosen)
        height, width = op.Split(size_hw, num_outputs=2)
        scale = op.CastLike(op.Concat(width, height, width, height, axis=0), boxes)
        box_xyxy = op.Gather(op.Squeeze(boxes, [0]), chosen) * scale
        frame = op.Cast(op.Gather(op.Squeeze(frames, [0]), chosen), to=TensorProto.DOUBLE)
        left, top, right, bottom = op.Split(frame, axis=1, num_outputs=4)
        cells = op.Gather(op.Squeeze(masks, [0]), chosen)
        side = op.Squeeze(op.Shape(cells, start=2))
        rows = _paste(top, bottom, op.Squeeze(height), side)
        columns = _paste(left, right, op.Squeeze(width), side)
        mask = op.MatMul(op.MatMul(rows, cells), op.Transpose(columns, perm=[0, 2, 1])) > threshold
        return category_id, class_score, mask_quality, box_xyxy, mask

    return _model(behind, "behind/")


def _model(function: Any, prefix: str) -> ModelProto:
    """A script as a model, with a prefix before all names but those of its inputs and outputs."""
    model = onnx.inliner.inline_local_functions(function.to_model_proto())
    _only_standard(model)
    return add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)


def _only_standard(model: ModelProto) -> None:
    """Name ONNX's own operators as the only ones, once."""
    del model.opset_import[:]
    model.opset_import.append(make_opsetid("", OPSET))
