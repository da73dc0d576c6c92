"""Tables on terminals and where there is none."""

import io
import re
import sys

import pytest

from noisy_lightning.cli import screen
from noisy_lightning.cli.screen import plain, print_markdown, print_table, print_texts, survive_encodings

ROWS = [
    ["class", "n", "best: precision", "recall", "F1", "last: precision", "recall", "F1"],
    ["cat", "1,000", "99.0", "100.0", "99.5", "98.0", "97.0", "97.5"],
    ["[bold]猫[/bold] :cat: " + "long " * 12, "2", "–", "0.0", "0.0", "–", "0.0", "0.0"],
]


class Screen(io.TextIOWrapper):
    """A terminal of an encoding."""

    def __init__(self, encoding: str = "utf-8", is_terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def shown(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def test_what_is_piped_is_plain_text_that_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Screen(is_terminal=False)
    monkeypatch.setattr(sys, "stdout", piped)
    print_table([["class", "n"], ["cat", "1,000"], ["owl", "2"]])
    assert piped.shown() == "class      n\ncat    1,000\nowl        2\n"


def test_without_rich_a_terminal_has_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Screen()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(screen, "find_spec", lambda name: None)
    print_table(ROWS)
    assert terminal.shown() == plain(ROWS) + "\n"


@pytest.mark.parametrize("columns", [200, 80, 60])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_rich_keeps_to_the_terminal_and_cuts_no_number(
    columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    terminal = Screen(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    survive_encodings()
    print_table(ROWS)
    printed = terminal.shown()
    shown = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= columns
    assert all(number in shown for number in ("1,000", "99.0", "100.0", "97.5"))
    assert "[bol" in shown, "names are no markup"
    assert "\x1b[3" not in printed, "NO_COLOR"


TEXTS = [
    ("GCE, GeneralizedCrossEntropy", "A loss between cross-entropy and [MAE], " + "in words " * 9),
    ("SCE", "Two."),
]


def test_texts_that_are_piped_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Screen(is_terminal=False)
    monkeypatch.setattr(sys, "stdout", piped)
    print_texts([("name", "what"), ("a", "long text"), ("bc", "")], has_heads=True)
    assert piped.shown() == "name  what\na     long text\nbc\n"


@pytest.mark.parametrize("columns", [200, 60, 30])
def test_a_terminal_folds_texts_within_their_columns(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    terminal = Screen()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_texts(TEXTS)
    lines = re.sub(r"\x1b\[[\d;]*m", "", terminal.shown()).splitlines()
    assert max(map(len, lines)) <= columns
    letters = "".join(sorted("".join(map("".join, TEXTS)).replace(" ", "")))
    assert "".join(sorted("".join(lines).replace(" ", ""))) == letters, "nothing is cut"
    (last,) = (line for line in lines if line.startswith("SCE"))
    assert last.index("Two.") == lines[0].index("A loss")


def test_a_name_that_a_terminal_cannot_encode_is_written_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, wide = Screen("cp1252"), Screen("utf-8")
    for stream, expected in ((narrow, "\\u732b – \\u2588\n"), (wide, "猫 – █\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        survive_encodings()
        print("猫 – █")
        assert stream.shown() == expected


MARKDOWN = "Test accuracy.\n\n| method | rate 0.4 |\n| --- | ---: |\n| CE | **91.81 ± 0.98** |\n"


@pytest.mark.parametrize("installed", [True, False])
def test_markdown_is_left_as_it_is_where_it_is_no_terminal_or_rich_is_missing(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Screen(is_terminal=not installed)
    monkeypatch.setattr(sys, "stdout", out)
    if not installed:
        monkeypatch.setattr(screen, "find_spec", lambda name: None)
    print_markdown(MARKDOWN)
    assert out.shown() == MARKDOWN + "\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_shows_markdown_as_a_table(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    terminal = Screen(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_markdown(MARKDOWN)
    shown = terminal.shown()
    assert "| ---" not in shown
    assert "**" not in shown
    assert ("91.81 ± 0.98" if encoding == "utf-8" else r"91.81 \xb1 0.98") in shown
