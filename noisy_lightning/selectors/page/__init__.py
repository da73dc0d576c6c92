"""The page of suspects without its samples: its markup, its style and its program, which are files of this folder."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

# In this order; each may use at its top level what stands in an earlier one.
_PROGRAM = ("samples", "results", "cards", "verdicts", "files", "dialogs", "setup")


def frame(title: str) -> tuple[str, str]:
    """Return what stands on the page before its sheets and data, and what stands after them.

    Args:
        title: Text, whatever it holds.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    page = environment.from_string(_text("page.html")).render(
        title=title,
        style=Markup(_text("page.css")),  # our own
        program=Markup("\n".join(_text(f"{name}.js") for name in _PROGRAM)),
    )
    before, after = page.split("<!-- sheets and data -->")
    return before, after


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
