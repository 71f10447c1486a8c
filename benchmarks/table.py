"""The GPU figures as Markdown."""

from typing import Any


def markdown(content: dict[str, Any]) -> str:
    """Sections that were measured, then what is wrong and what was left out."""
    lines = [f"# {content['device']}, commit {content['commit']}, {content['date'][:10]}", ""]
    if content["dry_run"]:
        lines += ["A dry run: the times are made up.", ""]
    if step := content["head_step"]:
        lines += [
            f"Training step, batch {step['batch']}, {step['boxes']} boxes, {step['size_hw']}:",
            "",
            "| taken as | ms | busy ms | launches | kernels | peak MB | our kernels | products |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for way, found in step["ways"].items():
            times = f"{found['median_ms']:.1f} | {found['busy_ms']:.1f}"
            counts = f"{found['launches']} | {found['kernels']} | {found['peak_mb']:.0f}"
            shares = " | ".join(f"{share:.0%}" for share in found["shares"].values())
            lines.append(f"| {way} | {times} | {counts} | {shares} |")
        lines.append("")
    if route := content["region_route"]:
        timed = {name: found for name, found in route.items() if isinstance(found, dict)}
        parts = ", ".join(f"{name} {found['median_ms']:.2f} ms" for name, found in timed.items())
        lines += [f"Regions, forward and backward: {parts}.", ""]
    if forward := content["detector_forward"]:
        lines += [f"Detector, one image {forward['size_hw']}: {forward['median_ms']:.1f} ms.", ""]
    lines += [
        "| case | type | implementation | forward ms | ours x | backward ms | ours x | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [line for row in content["kernels"] for line in _rows(row)]
    if sums := content["value_sums"]:
        least = content["tiled_from"]
        least = "in no case" if least is None else f"from {least} points on"
        lines += [
            "",
            f"Gradient of value by additions and by tiles; tiles are faster {least} "
            "(`TILED` in mfd/kernels/deform_attn/launch.py):",
            "",
            "| case | type | points | additions ms | tiles ms |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['case']} | {row['dtype']} | {row['points']} | {row['additions']:.3f} | "
            f"{row['tiles']:.3f} |"
            for row in sums
        ]
    if rates := content["measure"]:
        lines += ["", "| rate | |", "|---|---|"]
        lines += [f"| {name} | {rate:.1f} |" for name, rate in rates.items()]
    for title in ("wrong", "left_out"):
        if found := content[title]:
            lines += ["", f"{title.replace('_', ' ').capitalize()}:", ""]
            lines += [f"- {line}" for line in found]
    return "\n".join(lines) + "\n"


def _rows(row: dict[str, Any]) -> list[str]:
    """One line per implementation; ratios above 1 say how often faster ours is."""
    lines = []
    ours = row["of"].get("ours")
    for label, found in row["of"].items():
        cells = [row["case"], row["dtype"], label]
        for step in ("forward", "backward"):
            median = found[step]["median"]
            ratio = "" if ours is None else f"{median / ours[step]['median']:.2f}"
            cells += [f"{median:.3f}", ratio]
        lines.append("| " + " | ".join([*cells, f"{found['peak_mb']:.0f}"]) + " |")
    return lines
