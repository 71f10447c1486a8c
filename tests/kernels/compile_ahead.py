"""Compiles every Triton kernel for devices that need not be here, and reads the machine code.

Run as a program, without `TRITON_INTERPRET`; prints one JSON list of reports.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from mfd.kernels.deform_attn import tiles as deform_attn_tiles
from mfd.kernels.deform_attn import triton as deform_attn_triton
from mfd.kernels.deform_attn.launch import COLLECTED, tile_of
from mfd.kernels.deform_attn.launch_tiles import CHOICE, REGISTERS, THREADS
from mfd.kernels.layer_norm import triton as norm_triton
from mfd.kernels.layer_norm.launch import TILE
from mfd.kernels.roi_align import triton as roi_triton
from mfd.kernels.roi_align import triton_tables
from mfd.kernels.unpack import triton as unpack_triton

FLOATS = {"bf16": "*bf16", "fp16": "*fp16", "fp32": "*fp32", "fp64": "*fp64"}
ATTENTION = {  # heads, channels, levels, points, per case
    "image": {"M": 8, "D": 32, "L": 4, "P": 4},
    "box": {"M": 8, "D": 16, "L": 1, "P": 4},
    "odd": {"M": 8, "D": 12, "L": 1, "P": 4},
}

ROI_TYPES = {
    **dict.fromkeys(("y", "x", "pixel", "first_cell", "last_cell", "span", "order"), "*i32"),
    **dict.fromkeys(("image", "fine_hw", "coarse_hw"), "*i64"),
    **dict.fromkeys(("y_weight", "x_weight"), "*fp32"),
    **dict.fromkeys(("N", "B", "H", "W", "C", "s", "TY", "TX"), "i32"),
    "starts": "*i32",
}


def attention_source(
    name: str, case: str, dtype: str, capability: int
) -> tuple[Any, dict[str, Any]]:
    """A kernel's source with the constants of its launch, and the launch's options."""
    kernel = getattr(deform_attn_triton, name)
    sizes = ATTENTION[case]
    adds = name == "value_grad_kernel"
    element = {"bf16": 2, "fp16": 2, "fp32": 4, "fp64": 8}[dtype]
    element = max(element, 4) if adds else element
    step = name.removesuffix("_kernel")
    block, options = tile_of(step, sizes["D"], element, capability)
    constants = {
        **sizes,
        "BLOCK_Q": block,
        "BLOCK_D": triton.next_power_of_2(sizes["D"]),
        "BLOCK_T": triton.next_power_of_2(sizes["L"] * sizes["P"]),
        "FUSED": True,
        "ACC": triton.language.float64 if dtype == "fp64" else triton.language.float32,
    }
    if name == "points_grad_kernel":
        constants["BLOCK_T"] = max(constants["BLOCK_T"], COLLECTED)
    types = {"shapes": "*i64", "S": "i32", "Q": "i32"}
    types["reference"] = "*fp64" if dtype == "fp64" else "*fp32"
    if adds:
        types["value_grad"] = types["reference"]
    return source(kernel, constants, types, FLOATS[dtype]), options


def tiles_source(name: str, case: str, dtype: str) -> tuple[Any, dict[str, Any]]:
    """Likewise for the gradient of value by tiles: `count` or `place` points, or add a `tile`."""
    sizes = ATTENTION[case]
    wide = dtype == "fp64"
    acc, bits = ("float64", "int64") if wide else ("float32", "int32")
    constants = {"M": sizes["M"], "L": sizes["L"], "BIN": CHOICE.bin}
    constants["ACC"] = getattr(triton.language, acc)
    types = {"shapes": "*i64", "table": "*i32", "records": "*i64" if wide else "*i32"}
    types["reference"] = "*fp64" if wide else "*fp32"
    types |= dict.fromkeys(("S", "Q", "BINS", "RUN", "RUNS", "TILES"), "i32")
    if name == "tile":
        kernel = deform_attn_tiles.tile_kernel
        constants |= {"D": sizes["D"], "TILE": CHOICE.tile, "CHUNK": CHOICE.chunk}
        constants["BLOCK_D"] = max(triton.next_power_of_2(sizes["D"]), 16)
        constants["PRECISION"] = "tf32" if dtype in ("bf16", "fp16") else "ieee"
    else:
        kernel = deform_attn_tiles.sort_kernel
        constants |= {"P": sizes["P"], "PLACE": name == "place", "FUSED": True, "BLOCK": THREADS}
        constants["BLOCK_P"] = triton.next_power_of_2(sizes["P"])
        constants["BLOCK_T"] = triton.next_power_of_2(sizes["L"] * sizes["P"])
        constants["BITS"] = getattr(triton.language, bits)
    options = {"num_warps": 1}
    if name == "tile" and not wide:
        options["maxnreg"] = REGISTERS
    return source(kernel, constants, types, FLOATS[dtype]), options


def roi_source(name: str, dtype: str) -> tuple[Any, dict[str, Any]]:
    """Likewise for RoIAlign, 32 cells and 256 channels."""
    exact = "*fp64" if dtype == "fp64" else "*fp32"
    acc = triton.language.float64 if dtype == "fp64" else triton.language.float32
    types = ROI_TYPES | dict.fromkeys(("rows", "columns"), exact)
    constants = {"BLOCK_X": 32, "BLOCK_C": 64, "ACC": acc}
    if name == "forward_kernel":
        constants |= {"ADD": True, "BLOCK_TY": 8, "BLOCK_TX": 8}
    else:
        constants |= {"BLOCK_S": 32, "PRECISION": "ieee" if dtype in ("fp32", "fp64") else "tf32"}
    return source(getattr(roi_triton, name), constants, types, FLOATS[dtype]), {"num_warps": 4}


def tables_source(name: str) -> tuple[Any, dict[str, Any]]:
    """Likewise for the tables of RoIAlign on up-sampled maps, two samples per cell and axis."""
    constants = {"BLOCK_S": 32, "ACC": triton.language.float32}
    if name == "taps_kernel":
        constants |= {"T": 8, "SAMPLES": 2, "BLOCK_T": 8, "ALIGNED": True, "UP": True}
    else:
        constants |= {"BLOCK_N": 64, "BLOCK_L": 64}
    return source(getattr(triton_tables, name), constants, ROI_TYPES, "*fp32"), {"num_warps": 4}


def norm_source(name: str, dtype: str, dim: int) -> tuple[Any, dict[str, Any]]:
    """Likewise for LayerNorm of rows of 128 or 256 channels, weight and bias in float32."""
    types = {"N": "i32", "eps": "fp32"}
    types |= dict.fromkeys(("weight", "bias", "mean", "scale", "parts"), "*fp32")
    constants = {"D": dim, "BLOCK_N": TILE // dim, "BLOCK_D": dim, "ACC": triton.language.float32}
    return source(getattr(norm_triton, name), constants, types, FLOATS[dtype]), {"num_warps": 4}


def unpack_source() -> tuple[Any, dict[str, Any]]:
    """Likewise for unpacking, 256 channels."""
    types = {"stored": "*u8", **dict.fromkeys(("N", "P", "C"), "i32")}
    constants = {"BLOCK_N": 16, "BLOCK_P": 128}
    return source(unpack_triton.forward_kernel, constants, types, "*fp32"), {"num_warps": 4}


def source(kernel: Any, constants: dict[str, Any], types: dict[str, str], pointer: str) -> Any:
    """The kernel with all pointers and sizes known to be multiples of 16 where they will be."""
    signature, aligned = {}, {}
    for index, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        signature[name] = types.get(name, pointer)
        if signature[name].startswith("*") or name == "C":
            aligned[(index,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constants, aligned)


def report(source: Any, options: dict[str, Any], capability: int) -> dict[str, Any]:
    """Registers, spills, barriers, and what memory instructions there are."""
    target = GPUTarget("cuda", capability, 32)
    compiled = compile(source, target=target, options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(compiled.asm["cubin"])
        tools = Path(triton.__file__).parent / "backends/nvidia/bin"
        run = lambda *args: subprocess.run(args, check=True, capture_output=True, text=True).stdout  # noqa: E731
        sass = run(str(tools / "cuobjdump"), "-sass", file.name)
        usage = run(str(tools / "cuobjdump"), "-res-usage", file.name)
    opcodes = Counter(
        re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][\w.]*)", sass, re.M)
    )
    count = lambda pattern: sum(n for op, n in opcodes.items() if re.match(pattern, op))  # noqa: E731
    return {
        "instructions": sum(opcodes.values()) - opcodes["NOP"],
        "registers": int(re.search(r"REG:(\d+)", usage)[1]),
        "local_loads_and_stores": count(r"LDL|STL"),
        "barriers": count(r"BAR\b"),
        "shared": compiled.metadata.shared,
        "vector_loads": count(r"LDG.*\.128"),
        "vector_reductions": count(r"REDG?\..*x4|RED\..*128"),
        "reductions": count(r"REDG?\b"),
        "atomics": count(r"ATOM"),
        "matrix_products": count(r"[HD]MMA"),
        "compare_and_swap": count(r"ATOM.*CAS"),
    }


def main() -> None:
    """One report per kernel, case, type and device; the largest case in bfloat16 only."""
    cases = [("image", "bf16"), *((case, t) for case in ("box", "odd") for t in ("bf16", "fp32"))]
    cases.append(("box", "fp64"))
    reports = []
    for capability in (80, 90):
        for case, dtype in cases:
            for name in ("forward_kernel", "points_grad_kernel", "value_grad_kernel"):
                item = report(*attention_source(name, case, dtype, capability), capability)
                label = {"kernel": name, "case": case, "dtype": dtype, "sm": capability}
                reports.append(label | item)
            for name in ("tile",) if case == "odd" else ("count", "place", "tile"):
                item = report(*tiles_source(name, case, dtype), capability)
                label = {"kernel": name, "case": case, "dtype": dtype, "sm": capability}
                reports.append(label | item)
        for dtype in FLOATS:
            for name in ("forward_kernel", "backward_kernel"):
                item = report(*roi_source(name, dtype), capability)
                label = {"kernel": f"roi_{name}", "case": "roi", "dtype": dtype, "sm": capability}
                reports.append(label | item)
        for name in ("taps_kernel", "layout_kernel"):
            item = report(*tables_source(name), capability)
            label = {"kernel": name, "case": "roi", "dtype": "fp32", "sm": capability}
            reports.append(label | item)
        for dim, dtype in ((256, "bf16"), (128, "bf16"), (256, "fp32")):
            for name in ("forward_kernel", "backward_kernel"):
                item = report(*norm_source(name, dtype, dim), capability)
                label = {"kernel": f"norm_{name}", "case": str(dim), "dtype": dtype}
                reports.append(label | {"sm": capability} | item)
        label = {"kernel": "unpack_kernel", "case": "unpack", "dtype": "fp32", "sm": capability}
        reports.append(label | report(*unpack_source(), capability))
    json.dump(reports, sys.stdout)


if __name__ == "__main__":
    main()
