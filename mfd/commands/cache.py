"""`mfd cache`: what there is, what it holds, whether it is sound, and away with it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mfd.config import load_project
from mfd.console import out, say

cache = typer.Typer(no_args_is_help=True, help="Look after the feature stores.")

Stores = Annotated[Path | None, typer.Option(help="Where feature stores are.")]
StoreName = Annotated[Path, typer.Argument(help="A store's folder, or its name in `cache ls`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@cache.command("ls")
def cache_ls(stores: Stores = None) -> None:
    """List the stores."""
    from mfd.cache import list_stores
    from mfd.commands.tables import store_table

    root = _root(stores)
    found, errors = list_stores(root)
    if found:
        out.print(store_table(found))
    elif not errors:
        say(f"there is no store under {root}; `mfd extract` makes one")
    for error in errors:
        say(str(error))


@cache.command("info")
def cache_info(store: StoreName, stores: Stores = None, as_json: AsJson = False) -> None:
    """Show everything a store says of itself."""
    from mfd.cache import StoreInfo
    from mfd.commands.tables import store_facts

    facts = store_facts(StoreInfo.read(_store(store, stores)))
    if as_json:
        print(json.dumps(facts, indent=1))  # noqa: T201
        return
    for name, value in facts.items():
        out.print(f"{name:18} {escape(str(value))}", soft_wrap=True, highlight=False)


@cache.command("verify")
def cache_verify(
    store: StoreName,
    stores: Stores = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make damaged units unfinished.")
    ] = False,
) -> None:
    """Read every byte of a store against its checksums."""
    from mfd.cache import repair_store, verify_store

    store = _store(store, stores)
    damage = verify_store(store)
    for each in damage:
        ids = f" (images {', '.join(map(str, each.image_ids))})" if each.image_ids else ""
        say(f"{each.what}{ids}")
    if not damage:
        say(f"{store} is sound")
    elif not repair:
        say(f"`mfd cache verify --repair {store}`, then `mfd extract` redo just these")
        raise typer.Exit(1)
    elif units := repair_store(store, damage):
        say(f"units that are unfinished now: {len(units)}; `mfd extract` redoes them")
    else:
        say("no unit is lost, the metadata are written anew; `mfd extract` completes the store")


@cache.command("rm")
def cache_rm(
    store: StoreName,
    stores: Stores = None,
    force: Annotated[bool, typer.Option("--force", help="Even if a run names it.")] = False,
) -> None:
    """Delete a store, and the targets made of it."""
    from mfd.cache import remove_store

    store = _store(store, stores)
    remove_store(store, force=force)
    say(f"removed {store}")


@cache.command("gc")
def cache_gc(
    stores: Stores = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete what killed processes left behind; stores stay."""
    from mfd.cache import collect_garbage

    root = _root(stores)
    found = collect_garbage(root, dry_run=dry_run)
    for path in found:
        say(f"{'would remove' if dry_run else 'removed'} {path}")
    if not found:
        say(f"nothing was left behind under {root}, or it is younger than a day")


def _root(stores: Path | None) -> Path:
    return load_project().override(stores=stores).stores


def _store(store: Path, stores: Path | None) -> Path:
    """The store of this path or, where there is none, of this name."""
    named = _root(stores) / store
    return named if named.is_dir() and not store.exists() else store
