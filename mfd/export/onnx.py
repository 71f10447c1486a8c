"""A program as an ONNX file."""

import importlib.util
import json
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mfd.errors import ConfigError, ExportError
from mfd.export.check import Run
from mfd.export.parts import Part
from mfd.export.program import quiet
from mfd.text import first_line

OPSET = 18
FACTS_KEY = "mfd"
"""Of the model's metadata, under which what a reader must know stands as JSON."""


def check_onnx_installed() -> None:
    """Nothing, if the packages of the extra are there.

    Raises:
        ConfigError: they are not.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"ONNX files need the package {package}; install it by `pip install 'mfd[onnx]'`"
            )


def to_onnx(part: Part, program: ExportedProgram, facts: Mapping[str, Any]) -> bytes:
    """The program in ONNX's standard operators, one file with its weights.

    Raises:
        ExportError: there is an operator that ONNX does not have.
    """
    try:
        with quiet(), torch.no_grad():  # as traced: with gradients attention lies otherwise
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                external_data=False,
                custom_translation_table={
                    operator.floordiv: _floor_divide,
                    torch.ops.aten._is_all_true.default: _is_all_true,
                },
                verbose=False,
                optimize=False,  # its search for patterns takes longer than all else
            )
    except Exception as error:
        raise ExportError(
            f"ONNX cannot express it ({type(error).__name__}: {first_line(error)})"
        ) from error
    assert exported is not None
    with quiet():
        _tidy(exported.model)
    model = exported.model_proto
    _name_sizes(model.graph, part)
    model.producer_name = "mfd"
    entry = model.metadata_props.add()
    entry.key, entry.value = FACTS_KEY, json.dumps(facts)
    return model.SerializeToString()


def _floor_divide(size: Any, by: Any) -> Any:
    """`//` of whole numbers; PyTorch's own translation rounds towards 0, negative ones up."""
    from onnxscript import opset18 as op

    return op.Div(op.Sub(size, op.Mod(size, by)), by)


def _is_all_true(condition: Any) -> Any:
    """Whether all are true, of which PyTorch has no translation."""
    import onnx
    from onnxscript import opset18 as op

    least = op.ReduceMin(op.Cast(condition, to=onnx.TensorProto.INT32), keepdims=0)
    return op.Cast(least, to=onnx.TensorProto.BOOL)


def _tidy(model: Any) -> None:
    """Compute what is constant, and once what is written several times."""
    import onnx_ir.passes.common as passes
    from onnxscript.optimizer import fold_constants

    fold_constants(model)
    for each in (
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        each(model)


def _name_sizes(graph: Any, part: Part) -> None:
    """Give the open sizes of inputs and outputs names that say what they count."""
    names = {}
    for value, dimensions in zip(graph.input, part.inputs.values(), strict=True):
        for size, name in zip(value.type.tensor_type.shape.dim, dimensions, strict=True):
            if name is not None:
                names[size.dim_param] = name
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


def run_onnx(content: bytes) -> Run:
    """An ONNX file as a function of its inputs, run by onnxruntime on the CPU."""
    import onnx
    import onnxruntime

    model = onnx.load_from_string(content)
    answers = len(model.graph.output)
    for node in model.graph.node:
        if node.op_type == "TopK":
            places = onnx.helper.make_tensor_value_info(
                node.output[1], onnx.TensorProto.INT64, None
            )
            model.graph.output.append(places)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]

    def run(*arguments: Any) -> tuple[list[Tensor], list[Tensor]]:
        tensors = [t for a in arguments for t in (a if isinstance(a, list) else [a])]
        inputs = {name: t.numpy() for name, t in zip(names, tensors, strict=True)}
        found = [torch.from_numpy(value) for value in session.run(None, inputs)]
        return found[:answers], found[answers:]

    return run
