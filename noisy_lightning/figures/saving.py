"""Pictures as files: PNG, PDF and SVG, the same bytes whenever the same picture is saved."""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure

from noisy_lightning.figures.style import as_array, as_png

_DPI = 130


def as_files(figure: Figure) -> dict[str, bytes]:
    """Return a picture as `png`, `pdf` and `svg`.

    Neither has a date in it. The PDF has its fonts in it, as TrueType, which publishers ask for; the SVG names them.

    Args:
        figure: What to draw; it is laid out once, and not anew afterward.
    """
    png = as_png(as_array(figure, _DPI), _DPI)
    figure.set_layout_engine("none")
    files = {"png": png}
    # Text stays text: a reader of a PDF can search it, and an editor of an SVG change it.
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "noisy_lightning"}):
        for kind, without_date in (("pdf", "CreationDate"), ("svg", "Date")):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata={without_date: None})
            files[kind] = buffer.getvalue()
    return files


def for_page(files: dict[str, bytes]) -> str:
    """Return the kind of file that a page shows: `svg`, sharp at any size, unless `png` is much smaller.

    Args:
        files: As `as_files` returns them.
    """
    return "svg" if len(files["svg"]) <= 2 * len(files["png"]) else "png"
