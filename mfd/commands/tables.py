"""Stores and presets as rows for the terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mfd.text import size

if TYPE_CHECKING:
    from mfd.cache import StoreInfo


def store_table(stores: "Sequence[StoreInfo]") -> Table:
    """One row for each store, with the sum of their sizes."""
    total = sum(store.num_bytes for store in stores)
    table = Table("store", caption=f"stores: {len(stores)}, {size(total)}", caption_justify="left")
    table.columns[0].overflow = "fold"
    for name in ("images", "units", "size", "an image", "state"):
        table.add_column(name, justify="right")
    for store in stores:
        table.add_row(
            store.path.name,
            str(store.num_images),
            f"{store.committed_units}/{store.num_units}",
            size(store.num_bytes),
            size(store.num_bytes / store.num_images),
            "complete" if store.complete else "unfinished",
        )
    return table


def size_table(presets: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each preset, our sizes beside the paper's."""
    table = Table(
        "table", caption="parameters in millions, multiply-accumulates in 1e9; mask AP: the paper's"
    )
    table.add_column("preset", no_wrap=True)
    for name in ("params", "paper", "MACs", "paper", "mask AP"):
        table.add_column(name, justify="right")
    for preset in presets:
        sizes = (preset[key] for key in ("params_m", "paper_params_m", "macs_g", "paper_macs_g"))
        shown = ("-" if value is None else f"{value:.2f}" for value in sizes)
        table.add_row(str(preset["table"]), preset["name"], *shown, f"{preset['paper_ap']:.1f}")
    return table


def store_facts(store: "StoreInfo") -> dict[str, Any]:
    """Everything a store says of itself, as plain JSON values."""
    spec = store.spec.to_json()
    return {
        "path": str(store.path),
        "state": "complete" if store.complete else "unfinished",
        "identity": store.identity_sha256,
        "split": store.split,
        "view": store.view,
        "profile": store.profile,
        "dtype": store.dtype,
        "codec": store.codec,
        "images": store.num_images,
        "units": f"{store.committed_units} of {store.num_units}",
        "bytes": store.num_bytes,
        "extraction seconds": store.seconds,
        "detector": spec,
        "provenance": dict(store.provenance),
    }
