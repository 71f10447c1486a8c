"""Every kernel compiles for devices that are not here, to machine code without known defects."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

pytestmark = pytest.mark.slow
POINTS = 4  # of a level; the code of all levels is the same
made_for = pytest.mark.skipif(
    tuple(map(int, version("triton").split(".")[:2])) < (3, 9),
    reason="Triton before 3.9 compiles to more registers, barriers and loads",
)


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.kernels.compile_ahead"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def name(report: dict[str, Any]) -> str:
    return " ".join(str(report[key]) for key in ("kernel", "case", "dtype", "sm"))


def test_every_kernel_is_compiled_for_both_devices(reports: list[dict[str, Any]]) -> None:
    assert {r["sm"] for r in reports} == {80, 90}
    assert len({name(r) for r in reports}) == 98


@made_for
def test_no_register_is_spilled(reports: list[dict[str, Any]]) -> None:
    fast = [r for r in reports if r["dtype"] != "fp64"]  # float64 is for checking gradients
    assert not [name(r) for r in fast if r["local_loads_and_stores"]]
    assert not [name(r) for r in fast if r["registers"] > 168]


def test_half_of_a_processors_threads_fit_the_sampling_forward(
    reports: list[dict[str, Any]],
) -> None:
    forward = [r for r in reports if r["kernel"] == "forward_kernel" and r["dtype"] == "bf16"]
    assert not [name(r) for r in forward if r["registers"] > 64]


@made_for
def test_sampling_forward_needs_no_shared_memory(reports: list[dict[str, Any]]) -> None:
    forward = [r for r in reports if r["kernel"] == "forward_kernel" and r["dtype"] != "fp64"]
    assert not [name(r) for r in forward if r["barriers"] or r["shared"]]


def test_rows_of_a_power_of_two_are_loaded_16_bytes_at_a_time(
    reports: list[dict[str, Any]],
) -> None:
    for report in reports:
        if report["kernel"] == "forward_kernel" and report["case"] != "odd":
            assert report["vector_loads"] >= 4 * POINTS, name(report)


@made_for
def test_value_is_added_to_in_vectors_where_the_device_has_them(
    reports: list[dict[str, Any]],
) -> None:
    for report in reports:
        if report["kernel"] == "value_grad_kernel" and report["dtype"] != "fp64":
            assert report["compare_and_swap"] == 0, name(report)
            assert report["reductions"] == 4 * POINTS, name(report)
            assert report["barriers"] <= (0 if report["sm"] == 90 else 3), name(report)
            if report["sm"] == 90:
                assert report["vector_reductions"] == report["reductions"], name(report)


@made_for
def test_layer_norm_reads_16_bytes_at_a_time(reports: list[dict[str, Any]]) -> None:
    loads = {"norm_forward_kernel": 2, "norm_backward_kernel": 3}
    norms = [r for r in reports if r["kernel"] in loads]
    assert not [name(r) for r in norms if r["vector_loads"] < loads[r["kernel"]]]
    assert not [name(r) for r in norms if r["registers"] > 64]


def test_gradient_by_tiles_adds_only_to_counters(reports: list[dict[str, Any]]) -> None:
    """One addition per point to count it, one to place it: none for its channels."""
    found = {
        kind: [r for r in reports if r["kernel"] == kind] for kind in ("count", "place", "tile")
    }
    assert {(r["reductions"], r["atomics"]) for r in found["count"]} == {(POINTS, 0)}
    assert {(r["reductions"], r["atomics"]) for r in found["place"]} == {(0, POINTS)}
    assert {(r["reductions"], r["atomics"]) for r in found["tile"]} == {(0, 0)}


def test_tiles_of_half_precision_are_matrix_products(reports: list[dict[str, Any]]) -> None:
    tiles = [r for r in reports if r["kernel"] == "tile" and r["dtype"] == "bf16"]
    assert not [name(r) for r in tiles if not r["matrix_products"] or r["registers"] > 128]


@made_for
def test_gradient_of_points_meets_at_few_barriers(reports: list[dict[str, Any]]) -> None:
    points = [r for r in reports if r["kernel"] == "points_grad_kernel"]
    assert not [name(r) for r in points if r["barriers"] > 3]


def test_half_of_a_processors_threads_fit_the_gradient_of_points_and_nothing_is_spilled(
    reports: list[dict[str, Any]],
) -> None:
    points = [r for r in reports if r["kernel"] == "points_grad_kernel" and r["dtype"] != "fp64"]
    assert not [name(r) for r in points if r["registers"] > 64]
    assert not [name(r) for r in points if r["local_loads_and_stores"]]
