"""`mfd cache`: list, inspect, verify, delete, push and pull feature stores."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mfd import cache
from mfd.config import Project
from mfd.console import print_json, print_path, print_text, say
from mfd.errors import StoreError
from mfd.settings import setting, settings
from mfd.text import size

PROJECT = ("stores",)
WRITING = ("stores", "file_locks")


_STORE: Any = setting(
    "A store's folder, or its name in `cache ls`.",
    default=Path(),
    extra={"argument": True, "required": True},
)


@settings
class ListOptions:
    """None."""


def list_stores(project: Project, options: ListOptions) -> None:
    """Print a line for each store."""
    found, errors = cache.list_stores(project.stores)
    if found:
        for line in store_lines(found):
            print_text(line)
    elif not errors:
        say(f"there is no store under {project.stores}; `mfd extract` makes one")
    for error in errors:
        say(str(error))


@settings
class InfoOptions:
    """Which store."""

    store: Path = _STORE
    json: bool = setting("Print JSON for machines.", default=False)


def info(project: Project, options: InfoOptions) -> None:
    """Print everything that is known of a store without reading its data."""
    facts = store_facts(cache.StoreInfo.read(located(project, options.store)))
    if options.json:
        print_json(facts)
        return
    for name, value in facts.items():
        print_text(f"{name:18} {value}")


@settings
class VerifyOptions:
    """Which store, and whether it is repaired."""

    store: Path = _STORE
    repair: bool = setting("Mark damaged units for re-extraction.", default=False)


def verify(project: Project, options: VerifyOptions) -> int:
    """Read every byte of a store against its checksums; 1 if it is damaged and stays so."""
    store = located(project, options.store)
    damage = cache.verify_store(store, say)
    for each in damage:
        ids = f" (images {', '.join(map(str, each.image_ids))})" if each.image_ids else ""
        say(f"{each.what}{ids}")
    if not damage:
        say(f"{store} is sound")
    elif not options.repair:
        say(f"run `mfd cache verify --repair {store}`, then `mfd extract`, to redo just these")
        return 1
    elif units := cache.repair_store(store, damage):
        say(f"units marked for re-extraction: {len(units)}; run `mfd extract` to redo them")
    else:
        say(
            "no features lost: metadata was rewritten; run `mfd extract` to mark the store complete"
        )
    return 0


@settings
class RemoveOptions:
    """Which store."""

    store: Path = _STORE
    force: bool = setting("Even if a run needs it.", default=False)


def remove(project: Project, options: RemoveOptions) -> None:
    """Delete a store, and the targets made from it."""
    store = located(project, options.store)
    cache.remove_store(store, force=options.force, own=project.stores)
    say(f"removed {store}")


@settings
class CollectOptions:
    """Whether anything is deleted."""

    dry_run: bool = setting("List what would be deleted.", default=False)


def collect(project: Project, options: CollectOptions) -> None:
    """Delete what killed processes left behind."""
    found = cache.collect_garbage(project.stores, dry_run=options.dry_run)
    for path in found:
        say(f"{'would remove' if options.dry_run else 'removed'} {path}")
    if not found:
        say(f"nothing was left behind under {project.stores}, or it is younger than a day")


@settings
class PushOptions:
    """Which store, and where to."""

    store: Path = _STORE
    url: str = setting(
        "The folder for stores there: s3://, gs://, hf://, file:// and others of fsspec.",
        default="",
        extra={"argument": True, "required": True},
    )
    check: bool = setting("Read back what was sent before; resend what is damaged.", default=False)


def push(project: Project, options: PushOptions) -> None:
    """Send a store to a URL; prints that of the store there."""
    store = located(project, options.store)
    print_text(cache.push_store(store, options.url, check=options.check))


@settings
class PullOptions:
    """Which store."""

    url: str = setting(
        "The store's URL, as `cache push` printed it.",
        default="",
        extra={"argument": True, "required": True},
    )


def pull(project: Project, options: PullOptions) -> None:
    """Fetch a store from a URL; prints its folder."""
    print_path(cache.pull_store(options.url, project.stores))


def _command(
    text: str, options: type[Any], run: Any, project: tuple[str, ...] = PROJECT
) -> SimpleNamespace:
    return SimpleNamespace(HELP=text, PROJECT=project, Options=options, run=run)


COMMANDS = {
    "ls": _command("List the stores.", ListOptions, list_stores),
    "info": _command("Show everything that is known of a store.", InfoOptions, info),
    "verify": _command(
        "Check every byte of a store against its checksums.", VerifyOptions, verify, WRITING
    ),
    "rm": _command("Delete a store, and the targets made from it.", RemoveOptions, remove, WRITING),
    "gc": _command(
        "Delete what killed processes left behind, and old stores without a finished unit.",
        CollectOptions,
        collect,
        WRITING,
    ),
    "push": _command("Send a store to a URL, or send what is missing there.", PushOptions, push),
    "pull": _command(
        "Fetch a store from a URL, or fetch what is missing here.", PullOptions, pull, WRITING
    ),
}


def located(project: Project, store: Path) -> Path:
    """The store of this path or, where there is none, of this name.

    Raises:
        StoreError: there is neither.
    """
    if store.exists():
        return store
    if (named := project.stores / store).is_dir():
        return named
    raise StoreError(
        f"there is no store {str(store)!r} here or under {project.stores}; `mfd cache ls` lists "
        "them"
    )


def store_lines(stores: "Sequence[cache.StoreInfo]") -> Iterator[str]:
    """A line for each store, its name last and whole, to be copied; then the sum of their sizes."""
    yield f"{'images':>9} {'size':>8}  {'state':8}  store"
    for store in stores:
        done = f"{100 * store.committed_units // store.num_units} %"
        state = "complete" if store.complete else done
        yield f"{store.num_images:9} {size(store.num_bytes):>8}  {state:8}  {store.path.name}"
    yield f"stores: {len(stores)}, {size(sum(store.num_bytes for store in stores))}"


def store_facts(store: "cache.StoreInfo") -> dict[str, Any]:
    """Everything that a store's metadata says, as plain JSON values."""
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
        "detector": store.spec.to_json(),
        "provenance": dict(store.provenance),
    }
