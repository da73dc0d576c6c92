"""The page of a report: it shows all that there is, and no text from outside is anything but text."""

import shutil
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from noisy_lightning.cli.main import main
from noisy_lightning.experiments.page import write_report
from noisy_lightning.experiments.report import Report, collect
from noisy_lightning.experiments.report_runs import page_data
from noisy_lightning.figures.style import new_figure
from tests.experiments.test_ledger import CONFIG, RESULT, make_run

NASTY = (
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "\"double\" 'single' &amp; &",
    "{{ 7 * 7 }} {% raw %} {# #}",
)
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "script",
        "noscript",
        "body",
        "header",
        "nav",
        "main",
        "section",
    ),
    *("h1", "h2", "p", "a", "div", "span", "ul", "li", "dl", "dt", "dd", "figure", "figcaption", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "b", "i", "img"),
    *("form", "label", "input", "select", "button"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "src", "alt", "id", "href", "rel", "hidden", "type"),
    *("role", "scope", "tabindex", "loading", "autocomplete", "spellcheck", "disabled", "data-view", "aria-label"),
    "aria-labelledby",
}


class Page(HTMLParser):
    """What a browser makes of a page: its elements, with their attributes, and its texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _result(text: str, **changes: Any) -> dict[str, Any]:
    """Return a result that has a text from outside wherever it can have one."""
    noise = {**RESULT["noise"], "kind": text, "arguments": {"rate": text}}
    return {**RESULT, "dataset": text, "class_names": [text, text], "git_commit": text, "noise": noise, **changes}


def test_texts_from_outside_are_shown_as_they_are(tmp_path: Path) -> None:
    for number, text in enumerate(NASTY):
        config = {**CONFIG, "model": {**CONFIG["model"], "loss": {"class_path": f"a.{text}", "init_args": {"a": text}}}}
        make_run(tmp_path / f"runs/{number}", _result(text), config)
        selection = {"selected": 1, "samples": 2, "selector": {"kind": text}}
        make_run(tmp_path / f"runs/s{number}", _result(text, **selection))
        (tmp_path / f"runs/u{number}").mkdir()
        (tmp_path / f"runs/u{number}/config.yaml").touch()
    report = collect([tmp_path / "runs"])
    report.failed += [{"run": text, "error": text} for text in NASTY]
    page, *_ = write_report(tmp_path / "out", report, " and ".join(NASTY), pictures=False)
    parsed = Page(page)
    assert {tag for tag, _ in parsed.elements} <= TAGS
    assert {name for _, attributes in parsed.elements for name in attributes} <= ATTRIBUTES
    assert sum(tag == "script" for tag, _ in parsed.elements) == 2
    assert parsed.texts.count(" and ".join(NASTY)) == 2
    shown = "\n".join(parsed.texts)
    for text in NASTY:
        assert f"Failed: {text}: {text}" in parsed.texts
        assert text in parsed.texts  # of a selection
        assert f"{text}, {text}" in parsed.texts  # its data and noise
        assert shown.count(text) > 6


def test_pictures_of_each_setting_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["rate 0.4", "rate/0.4", "a" * 300, "a" * 299 + "b"]

    def drawn(report: Report) -> Iterator[tuple[str, Mapping[str, Figure]]]:
        yield from ((setting, {"losses": new_figure(2, 1, setting)}) for setting in settings)

    make_run(tmp_path / "runs/0")
    monkeypatch.setattr(Report, "settings", drawn)
    write_report(tmp_path / "out", collect([tmp_path / "runs"]), "four")
    names = {path.name for path in (tmp_path / "out/figures").glob("*_losses.png")}
    assert len(names) == 4
    assert "rate-0.4_losses.png" in names
    own = tmp_path / "out/figures/my own.png"
    own.write_bytes(b"")
    settings[:] = ["rate 0.4"]
    write_report(tmp_path / "out", collect([tmp_path / "runs"]), "one")
    assert {path.name for path in own.parent.glob("*.png")} == {"rate-0.4_losses.png", own.name}
    write_report(tmp_path / "out", collect([tmp_path / "runs"]), "none", pictures=False)
    assert {path.name for path in own.parent.glob("*.png")} == {"rate-0.4_losses.png", own.name}


def test_a_ledger_takes_no_curves_from_another_run_that_is_called_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/0"))
    assert main(["report", "runs", "--no-figures"]) == 0
    ledger = Path("runs/report/ledger.csv").rename("ledger.csv")
    ours = collect([ledger])
    assert page_data(ours)["runs"][0]["curves"]
    assert list(ours.settings())
    shutil.rmtree("runs")
    make_run(Path("runs/0"), {**RESULT, "seconds": 1.0})
    another = collect([ledger])
    assert "curves" not in page_data(another)["runs"][0]
    assert list(another.settings()) == []
    assert f"Without curves, as {Path('runs/0')} here is another run or has gone on." in another.notes()


@pytest.mark.parametrize(("path", "title"), [("runs/demo", "demo"), ("runs/demo/0", "demo/0"), (".", "here")])
def test_a_report_is_called_as_its_folder(
    path: str, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    make_run(here / ("0" if path == "." else "runs/demo/0"))
    monkeypatch.chdir(here)
    assert main(["report", path, "--out", "out", "--no-figures"]) == 0
    assert f"<title>{title}</title>" in Path("out/report.html").read_text()
    assert capsys.readouterr().out.endswith("the ledger\n")
