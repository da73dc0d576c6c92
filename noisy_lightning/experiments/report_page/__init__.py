"""The page of a report: its markup, its style and its program, which are files of this folder."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

# In this order; each may use at its top level what stands in an earlier one.
_PROGRAM = ("base", "state", "charts", "table", "filters", "run", "samples", "compare", "setup")


def rendered(data: Mapping[str, Any], **texts: Any) -> str:
    """Return the page, in which no text from outside can be anything but text.

    Args:
        data: What the program works on: plain data without NaN.
        **texts: What the markup shows by itself, without the program.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_text("page.html")).render(
        **texts,
        style=Markup(_text("page.css")),  # our own
        program=Markup("\n".join(_text(f"{name}.js") for name in _PROGRAM)),
        data=Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
    )


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
