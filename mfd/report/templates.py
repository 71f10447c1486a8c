"""The page's templates, which escape every text that they are given."""

import functools
from pathlib import Path

import jinja2
from markupsafe import Markup

_HERE = Path(__file__).parent


def render(template: str, **content: object) -> Markup:
    """A template of this folder, filled; within others it stands as it is."""
    return Markup(_environment().get_template(template).render(content))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["table"] = lambda content: render("table.html", table=content)
    return environment
