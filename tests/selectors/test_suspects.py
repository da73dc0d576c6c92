"""The page of suspicious labels: what is written into it, and how it behaves in a browser."""

import base64
import csv
import io
import json
import os
import re
import shutil
import string
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.noise.label_file import LabelFile
from noisy_lightning.experiments.verdicts import read_verdicts
from noisy_lightning.runs.files import as_cell
from noisy_lightning.selectors.suspects import Suspects, write_suspects
from tests.browser import chrome, requested

pytestmark = pytest.mark.xdist_group("browser")

NASTY = [
    "</script><script>document.title = 'broken'</script>",
    "<!-- <script> <img src=x onerror=\"document.title = 'broken'\">",
    "&lt;b&gt; 'single' \"double\" \\ {{ 7 * 7 }} {% for %} {# #}",
    "two\nlines, \u2028 and π\r\n",
]
FORMULAS = [
    "=a.png",
    "+a.png",
    "-a.png",
    "@a.png",
    "\ta.png",
    "\ra.png",
    "'=a.png",
    '=HYPERLINK("a","b").png',
    "a=.png",
]


def make_suspects(count: int = 130, classes: int = 4, paths: Sequence[str] | None = None) -> Suspects:
    """Sample 1 is the most suspicious, then 2, 3 and so on to 0; each is suggested the class after its own."""
    given = np.arange(count) % classes
    return Suspects(
        title="INCV on CIFAR10",
        class_names=[f"class {label}" for label in range(classes)],
        given=given,
        suggested=(given + 1) % classes,
        score=1 - ((np.arange(count) - 1) % count) / count,
        true=np.full(count, -1),
        paths=paths,
    )


def colors(indices: np.ndarray) -> np.ndarray:
    """Return a color (n, 3) of each sample's own, far enough from those of its neighbors."""
    return np.stack([indices * 37 % 256, indices * 91 % 256, indices * 151 % 256], 1).astype(np.uint8)


def plain_pictures(indices: np.ndarray, channels: int = 3, height: int = 32, width: int = 32) -> np.ndarray:
    return np.tile(colors(indices)[:, :channels, None, None], (1, 1, height, width))


class Scripts(HTMLParser):
    """Collects what stands in scripts, by id, and in titles, as a browser takes them apart."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.titles: list[str] = []
        self._current: str | None = None
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._current = dict(attrs).get("id") or "program"
            assert self._current not in self.texts
            self.texts[self._current] = ""
        elif tag in ("title", "h1"):
            self._current = tag
            self.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "title", "h1"):
            self._current = None

    def handle_data(self, data: str) -> None:
        if self._current in ("title", "h1"):
            self.titles[-1] += data
        elif self._current:
            self.texts[self._current] += data

    @property
    def data(self) -> Any:
        return json.loads(self.texts["data"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    def sheets(self) -> list[bytes]:
        names = sorted((name for name in self.texts if name.startswith("sheet-")), key=lambda name: int(name[6:]))
        assert names == [f"sheet-{number}" for number in range(len(names))]
        return [base64.b64decode(self.texts[name]) for name in names]


def cells(sheet: bytes, side: int = 32) -> np.ndarray:
    """Return the thumbnails (n, side, side, 3) of a sheet, row by row."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    return pixels.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3)


def test_sheets_hold_the_pictures_in_the_order_of_their_scores(tmp_path):
    page = tmp_path / "page.html"
    assert write_suspects(page, make_suspects(), plain_pictures) == [page]
    scripts = Scripts(page)
    order = [*range(1, 130), 0]
    assert scripts.data["order"] == order
    first, second = map(cells, scripts.sheets())
    assert (len(first), len(second)) == (100, 30)
    # None bleeds into its neighbors but for the outermost pixels, whose color differences WebP interpolates.
    off = np.concatenate([first, second]).astype(int) - colors(np.array(order))[:, None, None]
    assert np.abs(off[:, 1:-1, 1:-1]).max() < 25
    assert np.abs(off).mean() < 4


@pytest.mark.parametrize(
    ("channels", "height", "width", "shown", "sheet"),
    [(1, 28, 28, [28, 28], (320, 32)), (3, 64, 48, [48, 64], (480, 64)), (3, 300, 100, [21, 64], (320, 64))],
)
def test_large_pictures_shrink_and_small_ones_stay(tmp_path, channels, height, width, shown, sheet):
    page = tmp_path / "page.html"
    write_suspects(page, make_suspects(5), lambda indices: plain_pictures(indices, channels, height, width))
    scripts = Scripts(page)
    assert scripts.data["sheets"] == [{"size": shown, "file": None}]
    picture = Image.open(io.BytesIO(scripts.sheets()[0]))
    assert picture.size == sheet
    expected = np.broadcast_to(colors(np.array([1]))[:, :channels], (1, 3))[0]
    np.testing.assert_allclose(np.asarray(picture)[10, 10], expected, atol=25)


def test_what_has_no_room_in_the_page_lies_beside_it(tmp_path):
    page, suspects = tmp_path / "page #1.html", make_suspects(450)
    write_suspects(page, suspects, plain_pictures)
    whole = Scripts(page).sheets()
    room = sum(len(base64.b64encode(sheet)) for sheet in whole[:2])
    files = write_suspects(page, suspects, plain_pictures, embedded=room)
    assert Scripts(page).sheets() == whole[:2]
    assert [path.read_bytes() for path in files[1:]] == whole[2:]
    named = [sheet["file"] for sheet in Scripts(page).data["sheets"]]
    assert named == [None, None, *(path.name for path in files[1:])]
    assert set(tmp_path.iterdir()) == {page, tmp_path / "page #1_images"}

    # Nothing stays of the sheets of an earlier page, and all of what is somebody else's.
    (tmp_path / "page #1_images" / "mine.webp").touch()
    files = write_suspects(page, replace(suspects, score=-suspects.score), plain_pictures, embedded=0)
    assert len(files) == 6
    assert {*files[1:], tmp_path / "page #1_images" / "mine.webp"} == set((tmp_path / "page #1_images").iterdir())


def test_pictures_are_asked_for_by_the_sheet_and_only_where_there_is_a_score(tmp_path):
    suspects = make_suspects(260)
    suspects.score[[0, 7, 259]] = np.nan
    suspects.score[5] = np.inf
    suspects.score[6] = -np.inf
    asked: list[int] = []

    def pictures(indices: np.ndarray) -> np.ndarray:
        assert len(indices) <= 100
        asked.extend(indices.tolist())
        return plain_pictures(indices)

    write_suspects(tmp_path / "page.html", suspects, pictures)
    data = Scripts(tmp_path / "page.html").data
    assert data["order"] == [5, *asked[1:-1], 6, 0, 7, 259]
    assert len(asked) == data["pictured"] == 257
    assert [data["score"][index] for index in (0, 7, 259)] == [None] * 3
    assert data["score"][5] == -data["score"][6] > 1e100


@pytest.mark.parametrize("count", [0, 3])
def test_without_any_score_there_is_a_page_all_the_same(tmp_path, count):
    suspects = replace(make_suspects(count), score=np.full(count, np.nan, np.float32))
    write_suspects(tmp_path / "page.html", suspects, lambda indices: pytest.fail("nothing to show"))
    assert Scripts(tmp_path / "page.html").data["order"] == list(range(count))


@pytest.mark.parametrize("title", NASTY)
def test_no_text_breaks_out_of_its_place(title, tmp_path):
    undecodable = "\udcff"  # as a file name that is no UTF-8
    suspects = replace(make_suspects(4, paths=NASTY), title=title + undecodable, class_names=NASTY)
    write_suspects(tmp_path / "page.html", suspects, plain_pictures)
    scripts = Scripts(tmp_path / "page.html")
    assert set(scripts.texts) == {"sheet-0", "data", "program"}
    assert scripts.titles == [title.replace("\r\n", "\n") + "?"] * 2
    assert scripts.data["classes"] == scripts.data["paths"] == NASTY


def test_verdicts_belong_to_a_title_and_its_labels(tmp_path):
    suspects = make_suspects(4)
    others = [replace(suspects, score=-suspects.score), replace(suspects, title="other"), make_suspects(4, classes=3)]
    keys = []
    for version in (suspects, *others):
        write_suspects(tmp_path / "page.html", version, plain_pictures)
        keys.append(Scripts(tmp_path / "page.html").data["key"])
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_failure_leaves_the_old_page(tmp_path):
    page = tmp_path / "page.html"
    write_suspects(page, make_suspects(), plain_pictures)
    before = page.read_bytes()

    def broken(indices: np.ndarray) -> np.ndarray:
        raise OSError("disc gone")

    with pytest.raises(OSError, match="disc gone"):
        write_suspects(page, make_suspects(), broken)
    assert page.read_bytes() == before
    assert list(tmp_path.iterdir()) == [page]


def program_of(folder: Path) -> str:
    write_suspects(folder / "page.html", make_suspects(4), plain_pictures)
    return Scripts(folder / "page.html").texts["program"]


def test_the_page_guards_against_the_same_formulas_as_the_package(tmp_path):
    program = program_of(tmp_path)
    (pattern,) = re.findall("const FORMULA = /(.+)/;", program)
    assert [bool(re.search(pattern, text)) for text in FORMULAS] == [as_cell(text) != text for text in FORMULAS]
    assert "quoted(asCell(data.paths[index]))" in program
    assert "quoted(asCell(path))" in program


def test_an_export_holds_no_formula_and_is_read_back(tmp_path):
    if (node := shutil.which("node")) is None:
        pytest.skip("needs node")
    count = len(FORMULAS)
    data = json.dumps({"paths": FORMULAS, "given": [0] * count, "classes": ["a", "=b"]})
    begin = f"const count = {count}, data = {data}, verdicts = new Map([[2, 1], [3, 0]]), EXCLUDED = -3, UNSURE = -4;"
    begin += "const number = String, verdictOf = (index) => ({2: 'changed', 3: 'kept'}[index] ?? '');"
    program = program_of(tmp_path).split("// Export and import")[1]
    writer, _, rest = program.partition("function download")
    reader = "/** Return the rows" + rest.split("/** Return the rows")[1].split("async function")[0]
    both = "[labelsText(), verdictsText()]"
    end = f"console.log(JSON.stringify([...{both}, ...{both}.map(readVerdicts)]));"
    output = subprocess.run([node], input=begin + writer + reader + end, capture_output=True, text=True, check=True)
    labels, verdicts, *read = json.loads(output.stdout)
    assert read == [[[2, 1], [3, 0]]] * 2
    paths = [row["path"] for row in csv.DictReader(io.StringIO(labels, newline=""), strict=True)]
    assert paths == [as_cell(name) for name in FORMULAS]
    rows = list(csv.reader(io.StringIO(verdicts, newline=""), strict=True))
    assert rows[1:] == [["2", "'-a.png", "a", "change", "'=b"], ["3", "'@a.png", "a", "keep", ""]]
    (tmp_path / "labels.csv").write_text(labels, newline="")
    assert labels_of(tmp_path / "labels.csv", count, 2) == [0, 0, 1, *[0] * (count - 3)]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    yield from chrome()


class Review:
    """A page in a browser, and what a person does and sees there."""

    def __init__(self, browser: webdriver.Chrome, page: Path) -> None:
        self.browser = browser
        self.page = page

    def open(self, suspects: Suspects, **options: int) -> None:
        """Write the page and open it; its logs hold nothing of earlier pages."""
        write_suspects(self.page, suspects, plain_pictures, **options)
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.browser.get(self.page.as_uri())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)

    def set(self, field: str, value: str) -> None:
        """Type into a field, or choose an option by its text."""
        element = self.find(field)
        if element.tag_name == "select":
            Select(element).select_by_visible_text(value)
        else:
            element.clear()
            element.send_keys(value)

    def find(self, element_id: str) -> WebElement:
        return self.browser.find_element(By.ID, element_id)

    def text(self, element_id: str) -> str:
        return self.find(element_id).text

    @property
    def cards(self) -> Any:
        """What each card of the page says."""
        return self.read("[...document.querySelectorAll('#cards .card')].map((card) => card.innerText)")

    @property
    def shown(self) -> Any:
        """The indices of the samples on the page."""
        return self.read(
            "[...document.querySelectorAll('#cards .index')].map((index) => Number(index.innerText.slice(1)))"
        )

    @property
    def focused(self) -> Any:
        """The index of the sample whose card has the focus."""
        return self.read("Number(document.activeElement.querySelector('.index').innerText.slice(1))")

    @property
    def verdicts(self) -> dict[int, str]:
        """The head of each judged card of the page."""
        judged = "#cards :is(.kept, .changed, .excluded, .unsure)"
        script = f"""Object.fromEntries([...document.querySelectorAll('{judged}')].map((card) =>
            [card.querySelector('.index').innerText.slice(1), card.querySelector('.outcome').innerText]))"""
        return {int(index): outcome for index, outcome in self.read(script).items()}

    def read(self, expression: str) -> Any:
        return self.browser.execute_script(f"return {expression}")

    def requested(self) -> list[str]:
        """The addresses that the page has asked for since it was opened, but those that hold their own content."""
        return requested(self.browser)

    def pictures(self) -> Any:
        """Return the color in the middle of each picture of the page, once all are drawn."""
        return self.browser.execute_async_script("""
            const done = arguments[arguments.length - 1];
            const middle = (canvas) => canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1);
            Promise.all(decoded.values()).then(() => setTimeout(() => done(
              [...document.querySelectorAll("canvas")].map((canvas) => [...middle(canvas).data].slice(0, 3)))));
        """)

    def exported(self, button: str = "export-labels", name: str = "labels.csv") -> Path:
        """Export labels, or what another button does, and return the file."""
        file = self.page.with_name(name)
        file.unlink(missing_ok=True)
        behavior = {"behavior": "allow", "downloadPath": str(file.parent)}
        self.browser.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
        self.find(button).click()
        WebDriverWait(self.browser, 10, 0.05).until(lambda _: file.exists() and file.stat().st_size)
        return file

    def imported(self, file: Path) -> str:
        """Import verdicts and return what the page says to it."""
        self.browser.execute_script("say('')")
        self.find("file").send_keys(str(file))
        WebDriverWait(self.browser, 10, 0.05).until(lambda _: self.text("message"))
        return self.text("message")


@pytest.fixture
def review(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Review]:
    yield Review(browser, tmp_path / "page.html")
    browser.execute_script("localStorage.clear()")


def labels_of(file: Path, count: int, classes: int) -> list[int]:
    """Return what a training run is given of a file of verdicts."""
    anything = torch.zeros(count, dtype=torch.int64)
    return LabelFile(file).corrupt(anything, None, classes, torch.Generator()).tolist()


def test_the_page_opens_quietly_with_the_most_suspicious_first(review):
    review.open(make_suspects())
    assert review.browser.title == review.text("title") == "INCV on CIFAR10"
    assert review.text("state") == "130 of 130 match, 1–48 shown"
    assert review.shown == list(range(1, 49))
    assert review.focused == 1
    assert review.cards[0].split()[:6] == ["score", "1.000", "given", "class", "1", "suggested"]
    np.testing.assert_allclose(review.pictures(), colors(np.arange(1, 49)), atol=12)
    assert review.browser.get_log("browser") == []
    assert review.requested() == [review.page.as_uri()]


def test_the_page_can_reach_no_network(review):
    review.open(make_suspects(3))
    blocked = review.browser.execute_async_script("""
        const done = arguments[arguments.length - 1], blocked = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          blocked.push(event.effectiveDirective);
          if (blocked.length === 3) done(blocked.sort());
        });
        fetch("http://127.0.0.1:9/").catch(() => {});
        new Image().src = "http://127.0.0.1:9/picture.png";
        document.head.append(Object.assign(document.createElement("script"), { src: "http://127.0.0.1:9/a.js" }));
    """)
    assert blocked == ["connect-src", "img-src", "script-src-elem"]


def test_pictures_beside_the_page_are_found_and_missed(review):
    files = write_suspects(review.page, make_suspects(), plain_pictures, embedded=0)
    review.open(make_suspects(), embedded=0)
    assert review.read("Promise.all(decoded.values()).then((images) => images.map((image) => image.naturalWidth))") == [
        320
    ]
    # The second sheet is not read before one of its thumbnails is shown.
    assert review.requested() == [review.page.as_uri(), files[1].as_uri()]
    shutil.rmtree(files[1].parent)
    review.browser.refresh()
    WebDriverWait(review.browser, 10, 0.05).until(lambda _: "page_images" in review.cards[0])
    review.press("k")
    assert review.verdicts == {1: "✓ kept"}


@pytest.mark.slow
def test_fifty_thousand_samples_stay_usable(review):
    suspects = make_suspects(50_000, classes=10)
    noise = np.random.default_rng(0).integers(0, 256, (100, 3, 32, 32), np.uint8)  # what compresses worst
    files = write_suspects(review.page, suspects, lambda indices: noise[: len(indices)])
    assert review.page.stat().st_size < 30 * 10**6
    assert len(files) > 1
    review.browser.get(review.page.as_uri())
    assert review.text("page") == "page 1 of 1,042"
    review.set("given", "class 3")
    assert review.text("state") == "5,000 of 50,000 match, 1–48 shown"
    review.find("next").click()
    assert review.text("page") == "page 2 of 105"
    review.press("9")
    expected = suspects.given.copy()
    expected[review.shown[0]] = 9
    assert labels_of(review.exported(), 50_000, 10) == expected.tolist()


def test_filters_change_what_is_shown(review):
    suspects = make_suspects(40, paths=[f"train/{index:02d}.PNG" for index in range(40)])
    suspects.score[[3, 4]] = np.nan
    suspects.suggested[[3, 8]] = -1
    suspects.suggested[9] = suspects.given[9]
    review.open(suspects)
    assert review.shown[-3:] == [0, 3, 4]
    assert "no picture" in review.cards[-1]

    def matches(**fields: str) -> list[int]:
        review.find("clear").click()
        for field, value in fields.items():
            review.set(field, value)
        assert review.text("state").startswith(f"{len(review.shown)} of 40 match")
        return sorted(review.shown)

    assert matches(given="class 3") == list(range(3, 40, 4))
    assert matches(suggested="class 1", given="class 0") == [0, 4, *range(12, 40, 4)]
    assert matches(suggested="no suggestion") == [3, 8]
    assert matches(suggested="another than given") == [index for index in range(40) if index not in (3, 8, 9)]
    assert matches(low="0.95") == [1, 2]
    assert matches(low="0.8", high="0.9") == [5, 6, 7, 8, 9]
    assert matches(search="7") == [7, 17, 27, 37]
    assert matches(search="n/07.png") == [7]
    assert matches(search="nowhere") == []
    assert review.text("empty") == "No sample matches these filters."
    review.find("bar").click()
    review.press("k", "s", "2", "c", "u", Keys.ARROW_DOWN)
    assert matches() == list(range(40))
    assert review.text("progress") == "none judged yet"


def test_pages_turn(review):
    review.open(make_suspects())
    review.find("next").click()
    assert (review.shown[0], review.focused, review.text("page")) == (49, 49, "page 2 of 3")
    review.press(Keys.PAGE_DOWN)
    assert review.shown == [*range(97, 130), 0]
    np.testing.assert_allclose(review.pictures(), colors(np.array(review.shown)), atol=12)
    assert not review.find("next").is_enabled()
    review.press("n", Keys.END, Keys.ARROW_RIGHT)
    assert review.focused == 0
    review.press("p", "p", Keys.ARROW_LEFT, "p")
    assert review.focused == 1
    assert not review.find("previous").is_enabled()
    review.press(Keys.END, Keys.ARROW_RIGHT)
    assert review.focused == 49
    review.press(Keys.ARROW_LEFT)
    assert review.focused == 48
    review.set("page-size", "192")
    assert (len(review.shown), review.text("page")) == (130, "page 1 of 1")


def test_keys_judge_and_move_on(review):
    review.open(make_suspects())
    columns = review.read("columns()")
    assert columns >= 4
    review.press("k", "s", "0", "1", "9", Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert review.verdicts == {1: "✓ kept", 2: "→ class 3", 3: "→ class 0", 4: "→ class 1"}
    assert review.text("progress") == "4 judged: 1 kept, 3 changed"
    assert review.focused == 5
    review.press(Keys.ARROW_DOWN)
    assert review.focused == 5 + columns
    # Undo goes to the sample whose verdict it takes back, wherever that is.
    review.press("n", "u")
    assert review.focused == 4
    review.press("u", "k", "U", "s", "K", "u")
    assert review.verdicts == {1: "✓ kept", 2: "→ class 3", 3: "→ class 0"}
    assert review.focused == 4
    review.press(Keys.END, "k")
    assert review.focused == 49
    review.press("?")
    assert review.find("keys").is_displayed()
    review.find("keys").find_element(By.TAG_NAME, "button").click()
    assert not review.find("keys").is_displayed()
    assert review.focused == 49


def test_the_mouse_judges_too(review):
    review.open(make_suspects())
    cards = review.browser.find_elements(By.CLASS_NAME, "card")
    cards[1].find_element(By.CLASS_NAME, "keep").click()
    cards[4].find_element(By.CLASS_NAME, "take").click()
    review.find("classes").find_elements(By.TAG_NAME, "button")[0].click()
    assert review.verdicts == {2: "✓ kept", 5: "→ class 2", 6: "→ class 0"}
    review.find("undo").click()
    assert sorted(review.verdicts) == [2, 5]
    assert cards[4].get_attribute("aria-label") == (
        "Sample 5, given class 1, suggested class 2, score 0.969, changed to class 2"
    )


def test_judged_samples_stay_until_the_filter_is_set_anew(review):
    review.open(make_suspects(10))
    review.set("verdict", "not judged")
    review.press(Keys.ESCAPE, "k", "s")
    assert review.shown == [*range(1, 10), 0]
    assert review.focused == 3
    review.set("verdict", "judged")
    assert review.shown == [1, 2]
    review.set("verdict", "judged: changed")
    assert review.shown == [2]
    review.set("verdict", "not judged")
    assert review.shown == [*range(3, 10), 0]


def test_truth_shows_when_asked_for(review):
    review.open(make_suspects(4))
    assert not review.find("truth-switch").is_displayed()
    review.open(replace(make_suspects(4), true=np.array([0, -1, -2, 3])))
    assert not any("true" in card for card in review.cards)
    review.find("truth").click()
    shown = dict(zip(review.shown, review.cards, strict=True))
    for index, name in enumerate(["class 0", "unknown", "none of the classes", "class 3"]):
        assert f"true\n{name}" in shown[index]


def test_verdicts_survive_a_reload_and_pages_do_not_mix(review):
    suspects = make_suspects()
    review.open(suspects)
    review.press("k", "s", "0")
    before = review.verdicts
    assert len(before) == 3
    review.browser.refresh()
    assert review.verdicts == before
    review.open(replace(suspects, title="another method"))
    assert review.verdicts == {}
    review.open(replace(suspects, score=-suspects.score))
    review.press(Keys.END)
    assert review.text("progress") == "3 judged: 1 kept, 2 changed"


def test_without_storage_the_page_works_and_warns(review):
    review.open(make_suspects())
    review.browser.execute_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    review.press("k", "?")
    assert "export them before" in review.text("storage")
    review.press(Keys.ESCAPE)
    assert review.verdicts == {1: "✓ kept"}


def test_an_exported_file_gives_the_corrected_labels(review):
    paths = [f"{index}/{NASTY[index % 4]}" for index in range(10)]
    suspects = make_suspects(10, paths=paths)
    suspects.score[4] = np.nan
    review.open(suspects)
    review.press("k", "s", "0", Keys.END, "1")
    expected = suspects.given.copy()
    expected[[2, 3, 4]] = [3, 0, 1]
    file = review.exported()
    assert labels_of(file, 10, 4) == expected.tolist()
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text, strict=True))
    assert list(rows[0]) == ["index", "given_label", "previous_label", "verdict", "path"]
    assert [row["path"] for row in rows] == paths
    assert [int(row["index"]) for row in rows] == list(range(10))
    assert [int(row["previous_label"]) for row in rows] == suspects.given.tolist()
    assert [row["verdict"] for row in rows] == ["", "kept", "changed", "changed", "changed", "", "", "", "", ""]


def test_exported_paths_are_no_formulas(review):
    review.open(make_suspects(len(FORMULAS), paths=FORMULAS))
    review.press("k")
    file = review.exported()
    with file.open(encoding="utf-8", newline="") as text:
        assert [row["path"] for row in csv.DictReader(text, strict=True)] == [as_cell(name) for name in FORMULAS]
    assert review.imported(file) == "1 verdicts were read from labels.csv."


def test_verdicts_are_imported_elsewhere(review):
    suspects = make_suspects(10, paths=[f"{index}/{NASTY[index % 4]}" for index in range(10)])
    review.open(suspects)
    review.press("k", "s", "0")
    before, file = review.verdicts, review.exported()
    review.browser.execute_script("localStorage.clear()")
    review.browser.refresh()
    review.press("s", Keys.END, "k")
    assert sorted(review.verdicts) == [0, 1]
    # As a spreadsheet saves it.
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"changed,", b'"changed",'))
    assert review.imported(file) == "3 verdicts were read from labels.csv."
    assert review.verdicts == {0: "✓ kept", **before}
    review.find("undo").click()
    assert review.verdicts == {0: "✓ kept", 1: "→ class 2"}
    review.browser.refresh()
    assert sorted(review.verdicts) == [0, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("previous_label", "before", "it has no column previous_label"),
        ("2,2,2,\n", "", "it has 3 samples, this page 4"),
        ("2,2,2,", "3,2,2,", "it has index 3 where 2 belongs"),
        ("2,2,2,", "2,1,1,", "it is about other labels: sample 2 had 1 there, here 2"),
        ("2,2,2,", "2,1,2,", 'sample 2 has the given_label 1 and the verdict "", which cannot be'),
        ("2,2,2,", "2,9,2,changed", 'sample 2 has the given_label 9 and the verdict "changed", which cannot be'),
        ("2,2,2,", "2,2,2,fine", 'sample 2 has the given_label 2 and the verdict "fine", which cannot be'),
    ],
)
def test_a_file_that_does_not_fit_is_refused(review, old, new, message):
    review.open(make_suspects(4))
    text = "index,given_label,previous_label,verdict\n0,0,0,\n1,1,1,kept\n2,2,2,\n3,0,3,changed\n"
    assert text.count(old) == 1
    file = review.page.with_name("other.csv")
    file.write_text(text.replace(old, new))
    assert review.imported(file) == f"other.csv was not imported: {message}."
    assert review.verdicts == {}


def test_more_than_ten_classes_have_a_chooser(review):
    review.open(make_suspects(20, classes=12))
    review.press("3", "c", "11", Keys.ENTER)
    assert review.verdicts == {1: "→ class 11"}
    review.press("c", "CLASS 1")
    choices = review.find("chooser-list").find_elements(By.CSS_SELECTOR, "[role=option]")
    assert [choice.text.split()[0] for choice in choices] == ["1", "10", "11"]
    review.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert review.find("chooser-search").get_attribute("aria-activedescendant") == "choice-10"
    review.press(Keys.ENTER, "c", "class 7", Keys.ESCAPE)
    assert review.verdicts == {1: "→ class 11", 2: "→ class 10"}
    assert review.focused == 3
    review.browser.find_element(By.CSS_SELECTOR, ".current .other").click()
    review.find("choice-5").click()
    review.press("c", "nothing", Keys.ENTER, Keys.ESCAPE, "s")
    assert review.verdicts == {1: "→ class 11", 2: "→ class 10", 3: "→ class 5", 4: "→ class 5"}
    assert labels_of(review.exported(), 20, 12)[:6] == [0, 11, 10, 5, 5, 5]


def test_texts_are_shown_as_they_are(review):
    paths = [f"{index}{name}" for index, name in enumerate(NASTY)]
    review.open(replace(make_suspects(4, paths=paths), title=NASTY[0], class_names=NASTY))
    review.press("c", Keys.ENTER)
    assert review.browser.title == review.text("title") == NASTY[0]
    assert review.read("document.querySelectorAll('img, b').length") == 0
    assert review.read("document.querySelector('.facts .given').textContent") == NASTY[1]
    assert review.read("document.querySelector('.path').textContent") == paths[1]
    assert review.browser.get_log("browser") == []


# Beyond labels: exclude and unsure, many at once, neighbors, the files themselves, findings


def zoomed(review: Review) -> str:
    """Return what the close look says, without its picture."""
    text: str = review.find("zoom-side").text
    return text


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text, strict=True))


def test_old_verdicts_load_and_new_ones_stay(review):
    review.open(make_suspects(10))
    old = "[[1, 1], [2, 3], [3, 99], [4, -1], [5, 1.5], [77, 0]]"
    store = f"noisy_lightning.verdicts.{Scripts(review.page).data['key']}"
    review.browser.execute_script("localStorage.setItem(...arguments)", store, old)
    review.browser.refresh()
    assert review.verdicts == {1: "✓ kept", 2: "→ class 3"}
    review.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "x", "q")
    assert review.text("progress") == "4 judged: 1 kept, 1 changed, 1 excluded, 1 unsure"
    review.browser.refresh()
    assert review.verdicts == {1: "✓ kept", 2: "→ class 3", 3: "✕ excluded", 4: "? unsure"}
    review.set("verdict", "judged: excluded")
    assert review.shown == [3]
    review.set("verdict", "judged: unsure")
    assert review.shown == [4]


def test_verdicts_are_exported_by_name_and_imported(review):
    names = ["=a", 'b, "c"', "line\nend", "d"]
    paths = [f"{index}/{NASTY[index % 4]}" for index in range(8)]
    paths[2] = "byte\udcff.png"
    suspects = replace(make_suspects(8, paths=paths), class_names=names)
    review.open(suspects)
    review.press("k", "q", "0", "x")
    file = review.exported("export", "verdicts.csv")
    header, *rows = rows_of(file)
    assert header == ["index", "path", "label", "verdict", "new_label"]
    assert rows == [
        ["1", paths[1], names[1], "keep", ""],
        ["2", "byte\ufffd.png", names[2], "unsure", ""],
        ["3", paths[3], "d", "change", "'=a"],
        ["4", paths[4], "'=a", "exclude", ""],
    ]
    # It is what the command line takes.
    read = read_verdicts(file, suspects.given, names, paths)
    assert read.labels.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    assert read.excluded.nonzero()[0].tolist() == [4]
    labels = review.exported()
    assert "for the 1 excluded, too" in review.text("message")
    assert labels_of(labels, 8, 4) == [0, 1, 2, 0, 0, 1, 2, 3]
    before = review.verdicts
    for exported in (file, labels):
        review.browser.execute_script("localStorage.clear()")
        review.browser.refresh()
        assert review.imported(exported) == f"4 verdicts were read from {exported.name}."
        assert review.verdicts == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9,,class 1,keep,", "it has index 9, which is no sample here"),
        ("1,,class 1,keep,\n1,,class 1,keep,", "it has index 1 twice"),
        ("1,,class 2,keep,", "it is about other samples: 1 is class 2 there, here class 1"),
        ("1,a.png,class 1,keep,", "it is about other samples: 1 is a.png there, here "),
        ("1,,class 1,toString,", 'sample 1 has the verdict "toString" and the new_label "", which cannot be'),
        ("1,,class 1,change,class 1", 'sample 1 has the verdict "change" and the new_label "class 1", which cannot be'),
        ("1,,class 1,keep,class 2", 'sample 1 has the verdict "keep" and the new_label "class 2", which cannot be'),
    ],
)
def test_verdicts_by_name_that_do_not_fit_are_refused(review, line, message):
    review.open(make_suspects(4))
    file = review.page.with_name("other.csv")
    file.write_text(f"index,path,label,verdict,new_label\n{line}\n")
    assert review.imported(file) == f"other.csv was not imported: {message}."
    assert review.verdicts == {}


def test_one_verdict_for_many_is_one_step_of_undo(review):
    suspects = make_suspects()
    suspects.suggested[7] = -1
    review.open(suspects)
    review.press("x")
    review.set("given", "class 3")
    review.find("bulk").click()
    assert review.text("bulk-apply") == "Set 32 verdicts"
    review.set("bulk-verdict", "take the suggested label, where there is one")
    assert review.text("bulk-apply") == "Set 31 verdicts"
    review.find("bulk-apply").click()
    assert review.text("message") == "31 verdicts set at once; Undo takes them back together."
    assert review.text("progress") == "32 judged: 0 kept, 31 changed, 1 excluded"
    assert 7 in review.shown
    assert 7 not in review.verdicts
    review.press("b")
    review.set("bulk-verdict", "class 1")
    assert review.text("bulk-apply") == "Set 1 verdict"
    review.find("bulk-open").click()
    assert review.text("bulk-apply") == "Set 32 verdicts"
    review.find("bulk-cancel").click()
    review.press("u")
    assert review.text("progress") == "1 judged: 0 kept, 0 changed, 1 excluded"
    review.find("clear").click()
    review.press("b")
    review.set("bulk-which", "the 48 of this page")
    assert review.text("bulk-apply") == "Set 47 verdicts"
    review.find("bulk-apply").click()
    review.press("b")
    review.set("bulk-verdict", "no verdict")
    assert review.text("bulk-apply") == "Set 48 verdicts"
    review.find("bulk-apply").click()
    assert review.text("progress") == "none judged yet"
    review.press("u")
    assert review.text("progress") == "48 judged: 47 kept, 0 changed, 1 excluded"


def with_neighbors(count: int = 12) -> Suspects:
    suspects = make_suspects(count, paths=[f"a #1/{index}.png" for index in range(count)])
    neighbors = np.stack([(np.arange(count) + step) % count for step in (4, 8, 1)], 1)
    neighbors[3, 1:] = -1
    return replace(suspects, neighbors=neighbors, score_meaning="what <b>it</b> says")


def test_a_close_look_shows_neighbors_and_judges(review):
    suspects = with_neighbors()
    suspects.score[9] = np.nan
    review.open(suspects)
    assert review.text("rule") == "Score: what <b>it</b> says"
    assert "neighbors\n2\u00a0× class 1, 1\u00a0× class 2" in review.cards[0]
    assert "neighbors\n1\u00a0× class 3" in review.cards[2]
    review.press("z")
    assert "1 of 12" in zoomed(review)
    assert "a #1/1.png" in zoomed(review)
    assert "Score: what <b>it</b> says." in zoomed(review)
    near = review.find("zoom-neighbors").find_elements(By.TAG_NAME, "li")
    # The second one has no score, and so no thumbnail.
    assert [one.text.split("\n") for one in near] == [
        ["class 1", "#5"],
        ["no picture", "class 1", "#9"],
        ["class 2", "#2"],
    ]
    assert [("differs" in one.get_attribute("class")) for one in near] == [False, False, True]
    np.testing.assert_allclose(review.pictures()[-3:], colors(np.array([5, 2, 1])), atol=12)
    review.press("k", "x", Keys.ARROW_RIGHT, "c")
    assert review.find("chooser").is_displayed()
    review.press("class 2", Keys.ENTER)
    assert "5 of 12" in zoomed(review)
    assert review.verdicts == {1: "✓ kept", 2: "✕ excluded", 4: "→ class 2"}
    review.press("u")
    assert "4 of 12" in zoomed(review)
    review.find("zoom-card").find_element(By.CLASS_NAME, "doubt").click()
    review.press("/", "b", "?")
    assert not review.find("bulk-dialog").is_displayed()
    assert not review.find("keys").is_displayed()
    review.press(Keys.ESCAPE)
    assert not review.find("zoom").is_displayed()
    assert review.focused == 5
    assert review.verdicts[4] == "? unsure"
    review.press(Keys.ENTER)
    assert "5 of 12" in zoomed(review)


def test_a_close_look_hides_the_truth_as_cards_do(review):
    review.open(replace(with_neighbors(), true=np.full(12, 3)))
    review.press("z")
    assert "class 3" not in zoomed(review)
    review.press("z")
    review.find("truth").click()
    review.press(Keys.ESCAPE, "z")
    assert "true\nclass 3" in zoomed(review)


def natural_width(review: Review) -> Any:
    """Return the width of the file in the close look, once it is there; 0 where a thumbnail is shown in its place."""
    return review.browser.execute_async_script("""
        const done = arguments[arguments.length - 1];
        const look = () => {
          const image = document.querySelector("#zoom-picture img");
          if (!image) return done(0);
          if (image.complete && image.naturalWidth) return done(image.naturalWidth);
          requestAnimationFrame(look);
        };
        look();
    """)


def test_a_close_look_shows_the_file_itself_and_else_the_thumbnail(review, tmp_path):
    names = ["a b/#1%.png", "a b/?.png", os.fsdecode(b"a b/byte\xff.png"), "a b/missing.png"]
    (tmp_path / "own images/a b").mkdir(parents=True)
    for number, name in enumerate(names[:3]):
        Image.new("RGB", (200 + number, 100)).save(tmp_path / "own images" / name)
    suspects = replace(make_suspects(4, paths=names), score=-np.arange(4.0), root=tmp_path / "own images")
    review.page = tmp_path / "runs #2/page.html"
    review.page.parent.mkdir()
    review.open(suspects)
    widths = []
    for _ in names:
        review.press("z")
        widths.append(natural_width(review))
        review.press("z", Keys.ARROW_RIGHT)
    assert widths == [200, 201, 202, 0]
    review.press("z")
    assert review.text("zoom-note") == "The file itself cannot be shown from here; this is its thumbnail."
    assert review.find("zoom-picture").find_element(By.TAG_NAME, "canvas").size == {"width": 512, "height": 512}


FOUND = [
    Findings("near <b>duplicates", "similarity at least 0.97", [(0, 1), (2, 6, 10), (5, -1)], [1.0, 0.99, 0.98]),
    Findings("dark images", "mean below 10", [(7,), (3,)], [9.0, np.inf]),
]


def tabs(review: Review) -> list[WebElement]:
    return review.find("tabs").find_elements(By.TAG_NAME, "button")


def test_each_kind_of_finding_is_a_tab(review):
    review.open(replace(make_suspects(12), findings=FOUND, test_paths=["t/0.png"]))
    assert [tab.text for tab in tabs(review)] == ["labels 12", "near <b>duplicates 3", "dark images 2"]
    assert not review.find("rule").is_displayed()
    tabs(review)[1].click()
    assert tabs(review)[1].get_attribute("aria-current") == "page"
    assert review.text("rule") == "similarity at least 0.97"
    assert review.text("state") == "3 of 3 groups match, 1–3 shown"
    groups = [group.text for group in review.browser.find_elements(By.CSS_SELECTOR, ".group > p")]
    assert groups == [
        "1 · score 1.000 · different labels",
        "2 · score 0.990",
        "3 · score 0.980 · also in the test set",
    ]
    assert review.cards[-1].split("\n\n") == ["in the test set", "no picture", "t/0.png"]
    assert review.focused == 0
    review.press(Keys.ARROW_DOWN)
    assert review.focused == 2
    review.press(Keys.ARROW_RIGHT, "d")
    assert review.verdicts == {2: "✕ excluded", 10: "✕ excluded"}
    assert review.focused == 5
    # Nobody judges a test image.
    review.press("x", "x", "k", "0", "c")
    assert review.verdicts == {2: "✕ excluded", 10: "✕ excluded", 5: "✕ excluded"}
    assert not review.find("chooser").is_displayed()
    review.press("u", "u")
    assert review.text("progress") == "none judged yet"
    review.set("search", "6")
    assert review.shown == [2, 6, 10]
    review.press(Keys.ENTER, Keys.ARROW_RIGHT)
    assert review.focused == 6
    review.press("/", Keys.ESCAPE, "]")
    assert review.text("state") == "0 of 2 match"
    review.find("clear").click()
    assert review.shown == [7, 3]
    assert review.cards[1].split("\n")[:2] == ["score", "∞"]
    review.press("x", "[", "[")
    assert review.shown[:2] == [1, 2]
    assert review.verdicts == {7: "✕ excluded"}


def test_all_but_one_of_each_group_are_excluded_at_once(review):
    review.open(replace(make_suspects(12), findings=FOUND))
    review.press("]")
    assert "test image 0" in review.cards[-1]
    review.press("b")
    assert review.text("bulk-apply") == "Set 4 verdicts"
    review.find("bulk-apply").click()
    assert sorted(review.verdicts) == [1, 5, 6, 10]
    review.press("u", "[", "b")
    review.set("bulk-verdict", "exclude")
    assert not review.find("bulk-others").is_enabled()
    assert review.text("bulk-apply") == "Set 12 verdicts"


def test_what_belongs_together_is_on_one_page(review):
    pairs = Findings("pairs", "rule", [(2 * number, 2 * number + 1) for number in range(35)], [1.0] * 35)
    large = replace(pairs, members=[(0,), tuple(range(1, 60)), (60, 61)], scores=[1.0] * 3)
    review.open(replace(make_suspects(), findings=[pairs, large]))
    review.press("]")
    assert (review.text("page"), len(review.shown)) == ("page 1 of 2", 48)
    review.press("n")
    assert review.text("state") == "35 of 35 groups match, 25–35 shown"
    assert review.shown == list(range(48, 70))
    review.press("]", "n")
    assert (review.text("page"), review.shown) == ("page 2 of 3", list(range(1, 60)))
    review.press(Keys.END, Keys.ARROW_RIGHT)
    assert review.shown == [60, 61]


def test_findings_and_neighbors_hold_any_text(tmp_path):
    found = [Findings(text, text, [(0, -1 - number)], [np.nan]) for number, text in enumerate(NASTY)]
    suspects = replace(with_neighbors(), score_meaning=NASTY[0], findings=found, test_paths=NASTY)
    suspects.score[2] = np.nan
    page = tmp_path / "page.html"
    write_suspects(page, replace(suspects, root=tmp_path / NASTY[0]), plain_pictures)
    scripts = Scripts(page)
    assert set(scripts.texts) == {"sheet-0", "data", "program"}
    data = scripts.data
    assert [one["kind"] for one in data["findings"]] == NASTY
    assert data["findings"][0]["scores"] == [None]
    assert data["tests"]["paths"] == {str(number): text for number, text in enumerate(NASTY)}
    assert set(data["root"]) <= set("./%-_~" + string.ascii_letters + string.digits)
    # A row for each thumbnail, in their order.
    assert data["neighbors"]["width"] == 3
    assert len(data["neighbors"]["rows"]) == 3 * data["pictured"] == 33
    assert data["neighbors"]["rows"][:6] == [5, 9, 2, 7, -1, -1]
