"""A command's flags: made from its settings class, and filled from `mfd.toml` and command line.

A command is a module with

    HELP = "What it does."
    PROJECT = ("data", "stores")        # the project's settings that it also takes as flags
    @settings
    class Options: ...                  # its own
    def run(project: Project, options: Options) -> int | None: ...
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, get_args, get_origin

import typer

from mfd.config import Project, load_project
from mfd.errors import ConfigError
from mfd.locks import use_locks
from mfd.settings import Setting, declared, expanded, from_json


class Command(Protocol):
    """What a module of a command holds."""

    @property
    def HELP(self) -> str: ...  # noqa: N802
    @property
    def PROJECT(self) -> tuple[str, ...]: ...  # noqa: N802
    @property
    def Options(self) -> type[Any]: ...  # noqa: N802
    @property
    def run(self) -> Callable[..., int | None]: ...


def as_callback(name: str, command: Command, sections: tuple[str, ...]) -> Callable[..., None]:
    """The function that typer calls: flags in, the command run, its exit code raised.

    Args:
        name: of the command, and of its section in `mfd.toml`.
        command: its module.
        sections: the names that sections of `mfd.toml` may have.
    """
    shared = [field for field in declared(Project) if field.name in command.PROJECT]
    own = declared(command.Options)

    def callback(**flags: Any) -> None:
        context = flags.pop("context")
        given = {key: value for key, value in flags.items() if _is_given(context, key)}
        file = load_project(commands=sections)
        names = {field.name for field in shared}
        project = file.project.override(**{k: v for k, v in given.items() if k in names})
        mine = {key: value for key, value in given.items() if key not in names}
        options = read_options(command.Options, file.sections.get(name, {}), mine, file.path)
        use_locks(project.file_locks)
        code = command.run(project, options)
        if code:
            raise typer.Exit(code)

    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(_parameter(field) for field in (*own, *shared)),
    ]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__doc__ = command.HELP
    return callback


def read_options(
    kind: type[Any], section: Mapping[str, Any], flags: Mapping[str, Any], path: Any
) -> Any:
    """The command's settings: defaults, then the file's section, then flags."""
    try:
        from_file = expanded(kind, section, None if path is None else path.parent)
        from_json(kind, from_file)  # what is wrong there is said with its place
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return from_json(kind, {**from_file, **expanded(kind, flags)})


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether a flag was written on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _parameter(field: Setting) -> inspect.Parameter:
    """The field as typer reads it."""
    hints: dict[str, Any] = {"help": field.text}
    if field.extra.get("argument"):
        info: Any = typer.Argument(show_default=False, **hints)
    else:
        flag = "--" + field.name.replace("_", "-")
        hints["show_default"] = field.default not in (None, False, ())
        names = (flag, f"--no-{flag[2:]}") if field.default is True else (flag,)
        info = typer.Option(*(("/".join(names),) if len(names) > 1 else names), **hints)
    kind = field.type
    if get_origin(kind) is tuple:  # of one type, as many as are given
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    required = bool(field.extra.get("required"))
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else field.default,
        annotation=Annotated[kind, info],
    )
