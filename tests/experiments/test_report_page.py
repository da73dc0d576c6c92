"""The page of a report in a browser: it opens, sorts, filters, compares and exports."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from noisy_lightning.experiments.page import write_report
from noisy_lightning.experiments.report import Report, collect
from noisy_lightning.experiments.report_runs import CURVES
from noisy_lightning.experiments.sweep_folder import ManifestEntry, SweepFolder
from tests.browser import chrome, requested
from tests.experiments.test_ledger import CONFIG, RESULT, make_run
from tests.experiments.test_memorized import GIVEN, TRUE, add_records
from tests.experiments.test_page import NASTY

pytestmark = pytest.mark.xdist_group("browser")

LOSSES = {"CE": "CrossEntropy", "SCE": "SymmetricCrossEntropy"}
ACCURACY = {("CE", 0.2): 0.9, ("CE", 0.4): 0.5, ("SCE", 0.2): 0.8, ("SCE", 0.4): 0.7}


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    yield from chrome()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a sweep of four runs and one that failed."""
    folder = SweepFolder(tmp_path_factory.mktemp("swept") / "grid")
    folder.make()
    entries = []
    for (method, rate), accuracy in ACCURACY.items():
        name = f"{method}_{rate}"
        entries.append(ManifestEntry(name, {"method": method, "data.noise.rate": str(rate)}, {}))
        loss = {"class_path": f"noisy_lightning.losses.{LOSSES[method]}"}
        config = {**CONFIG, "model": {**CONFIG["model"], "loss": loss}}
        tests = {"last": {"test/acc": accuracy, "test/acc_class/0": accuracy, "test/acc_class/1": 0.25}}
        noise = {**RESULT["noise"], "label_hash": str(rate)[-1] * 64, "nominal_rate": rate}
        result = {**RESULT, "test": tests, "class_names": ["<b>cat</b>", "dog"], "noise": noise}
        run = make_run(folder.run(name).path, result, config)
        lines = [f"{epoch},{accuracy - 0.1 / (epoch + 1)},{2 - epoch / 10}" for epoch in range(12)]
        (run / "metrics.csv").write_text("\n".join(["epoch,val/acc,train/loss", *lines, ""]))
        add_records(run, GIVEN if method == "CE" else [*TRUE[:9], *GIVEN[9:]])
    entries.append(ManifestEntry("broken", {"method": "CE", "data.noise.rate": "0.8"}, {}))
    folder.error("broken").parent.mkdir(exist_ok=True)
    folder.error("broken").write_text("no memory")
    folder.write_manifest(entries, [])
    write_report(folder.path / "report", Report(*_split(folder.rows())), "A sweep", pictures=False)
    return folder.path / "report/report.html"


def _split(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [row for row in rows if row["status"] == "done"], [row for row in rows if row["status"] == "failed"]


class View:
    """The page in a browser, and what a person does and sees there."""

    def __init__(self, browser: webdriver.Chrome, page: Path) -> None:
        self.browser, self.page = browser, page

    def open(self, address: str = "") -> None:
        self.browser.get("about:blank")  # another # alone would not load the page anew
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.browser.get(self.page.as_uri() + address)

    def read(self, expression: str) -> Any:
        return self.browser.execute_script(f"return {expression}")

    def column(self, name: str) -> list[str]:
        """Return what stands in a column of the table of runs."""
        place = f"[...document.querySelectorAll('#table th')].findIndex((th) => th.innerText.startsWith('{name}'))"
        return [
            str(text)
            for text in self.read(
                f"[...document.querySelectorAll('#table tbody tr')].map((tr) => tr.cells[{place}].innerText)"
            )
        ]

    def click(self, selector: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def follow(self, change: Callable[[], object]) -> None:
        """Do what changes the address, and wait until the page has heard of it: it hears later."""
        self.browser.execute_script(
            "window.changed = new Promise((done) => addEventListener('hashchange', () => done(), { once: true }))"
        )
        change()
        self.read("window.changed")

    def follow_link(self, text: str) -> None:
        self.follow(self.browser.find_element(By.LINK_TEXT, text).click)

    def text(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text

    def ids(self) -> dict[str, str]:
        found = self.read("Object.fromEntries(runs.map((run) => [nameOf(run), run.id]))")
        return {str(name): str(number) for name, number in found.items()}


@pytest.fixture
def view(browser: webdriver.Chrome, page: Path) -> Iterator[View]:
    view = View(browser, page)
    yield view
    assert browser.get_log("browser") == []
    assert {address.partition("#")[0] for address in requested(browser)} <= {page.as_uri(), "about:blank"}


def test_the_page_opens_with_tables_and_leads_to_all_runs(view: View) -> None:
    view.open()
    assert view.browser.title == view.text("h1") == "A sweep"
    assert "SCE" in view.text("#results table")
    assert not view.browser.find_element(By.ID, "runs").is_displayed()
    view.follow(lambda: view.click("nav a[data-view=runs]"))
    assert view.text("#state") == "5 of 5 runs"
    assert not view.browser.find_element(By.ID, "results").is_displayed()
    assert view.column("run") == ["CE_0.2", "CE_0.4", "SCE_0.2", "SCE_0.4", "broken"]
    assert view.column("test accuracy, last") == ["90.00", "50.00", "80.00", "70.00", "–"]
    assert view.browser.title == "Runs – A sweep"


def test_a_click_on_a_head_sorts_by_numbers_with_what_is_missing_last(view: View) -> None:
    view.open("#/runs")
    button = "#table button[data-key=acc_last]"
    orders = []
    for _ in range(3):
        view.click(button)
        order = view.read(f"document.querySelector('{button}').closest('th').getAttribute('aria-sort')")
        orders.append((order, view.column("run")))
        assert view.read("document.activeElement.dataset.key") == "acc_last"
    assert orders == [
        ("ascending", ["CE_0.4", "SCE_0.4", "SCE_0.2", "CE_0.2", "broken"]),
        ("descending", ["CE_0.2", "SCE_0.2", "SCE_0.4", "CE_0.4", "broken"]),
        ("none", ["CE_0.2", "CE_0.4", "SCE_0.2", "SCE_0.4", "broken"]),
    ]
    view.browser.switch_to.active_element.send_keys(Keys.ENTER)  # as the keyboard does
    assert view.column("run")[0] == "CE_0.4"


def test_equal_values_keep_their_order_either_way(view: View) -> None:
    view.open("#/runs?sort=axis_method&order=descending")
    assert view.column("run") == ["SCE_0.2", "SCE_0.4", "CE_0.2", "CE_0.4", "broken"]


def test_filters_find_texts_and_values_of_an_axis(view: View) -> None:
    view.open("#/runs")
    view.browser.find_element(By.ID, "search").send_keys("sce DONE")
    assert view.column("run") == ["SCE_0.2", "SCE_0.4"]
    rate = Select(view.browser.find_element(By.CSS_SELECTOR, '#axes select[data-key="axis_data.noise.rate"]'))
    assert [option.text for option in rate.options] == ["any", "0.2", "0.4", "0.8"]
    rate.select_by_visible_text("0.4")
    assert view.column("run") == ["SCE_0.4"]
    assert view.text("#state") == "1 of 5 runs"
    view.browser.find_element(By.ID, "search").send_keys("nothing")
    assert view.text("#empty") == "No run matches these filters."
    view.click("#filters button[type=reset]")
    assert len(view.column("run")) == 5


def test_a_link_keeps_order_filters_columns_and_choice(view: View) -> None:
    view.open("#/runs")
    view.click("#table button[data-key=acc_last]")
    view.click("#columns summary")
    view.click("#column-choice input[data-key=auroc]")
    view.browser.find_element(By.ID, "search").send_keys("0.2")
    for box in view.browser.find_elements(By.CSS_SELECTOR, "#table tbody input"):
        box.click()
    address = view.browser.current_url.partition("#")[2]
    view.open(f"#{address}")
    assert view.column("run") == ["SCE_0.2", "CE_0.2"]
    assert "AUROC" not in view.text("#table thead")
    assert view.text("#compare") == "Compare 2 runs"
    assert view.read("document.getElementById('search').value") == "0.2"


def test_what_is_shown_is_exported(view: View, tmp_path: Path) -> None:
    view.open("#/runs?sort=acc_last&only.axis_method=CE")
    view.click("#columns summary")
    view.click("#column-choice input[data-key=epoch_chosen]")
    assert "4" in view.column("chosen epoch")
    view.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    view.click("#export")
    file = tmp_path / "runs.csv"
    WebDriverWait(view.browser, 10, 0.05).until(lambda _: file.exists() and file.stat().st_size)
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened, strict=True))
    assert [(row["axis_data.noise.rate"], row["acc_last"], row["status"]) for row in rows] == [
        *(("0.4", "0.5", "done"), ("0.2", "0.9", "done"), ("0.8", "", "failed")),
    ]
    assert rows[0]["run"].endswith("/CE_0.4")
    assert rows[0]["epoch_chosen"] == "3"


def test_small_curves_are_drawn_and_said(view: View) -> None:
    view.open("#/runs")
    WebDriverWait(view.browser, 10, 0.05).until(lambda _: view.read("document.querySelectorAll('.spark').length") == 4)
    assert view.read("document.querySelector('.small .hidden').textContent") == "from 80.00 % to 89.17 %"
    assert "40.00 % to 89.17 %" in view.text("#table thead")
    Select(view.browser.find_element(By.ID, "curve")).select_by_visible_text("Loss: training, all")
    assert "each on its own scale" in view.text("#table thead")


def test_print_has_what_is_not_on_the_screen_yet(view: View, tmp_path: Path) -> None:
    view.open("#/runs")
    view.browser.execute_script(
        "inView.disconnect(); document.querySelectorAll('.spark').forEach((one) => one.remove())"
    )
    view.browser.execute_script("document.querySelectorAll('.small').forEach((cell) => cell.replaceChildren())")
    view.browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert view.read("document.querySelectorAll('.spark').length") == 4


def test_a_run_has_a_page_of_its_own(view: View) -> None:
    view.open("#/runs")
    view.follow_link("SCE_0.4")
    shown = view.text("#run")
    for text in ("SCE_0.4", "70.00", "<b>cat</b>", "dog", "40.00 % nominal, 38.76 % realized", "4" * 64, "12e4"):
        assert text in shown
    again = view.text("#run pre")
    assert "noisy-lightning fit --config " in again
    root, experiment, version = (
        re.search(rf"--run.{name} (\S+)", again)[1]  # type: ignore[index]
        for name in ("root", "experiment", "version")
    )
    assert f"noisy-lightning test {root}/{experiment}/{version}" in again
    assert view.read("document.querySelectorAll('#run .chart').length") == 2
    assert (
        view.read("[...document.querySelectorAll('#run .chart text')].map((text) => text.textContent)").count("epoch")
        == 2
    )
    assert "accuracy in %" in view.text("#run .charts")
    assert view.read("document.activeElement.tagName") == "H2"
    view.follow(view.browser.back)
    assert len(view.column("run")) == 5


def test_a_failed_run_says_why(view: View) -> None:
    view.open("#/runs")
    view.follow_link("broken")
    assert view.text("#run pre") == "no memory"


def test_runs_stand_side_by_side(view: View) -> None:
    view.open("#/runs?only.axis_data.noise.rate=0.2")
    for box in view.browser.find_elements(By.CSS_SELECTOR, "#table tbody input"):
        box.click()
    view.follow(lambda: view.click("#compare"))
    tables = view.read("""[...document.querySelectorAll('#compared table')].map((table) =>
        [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.innerText)))""")
    assert tables[0] == [["model.loss", "CrossEntropy", "SymmetricCrossEntropy"]]
    assert ["test accuracy, last epoch, %", "90.00", "80.00"] in tables[1]
    # One chart of both accuracies, one of the loss of each: they cannot be compared.
    lines = view.read(
        "[...document.querySelectorAll('#compared .chart')].map((one) => one.querySelectorAll('.line').length)"
    )
    assert lines == [2, 1, 1]
    assert "Losses are drawn apart" in view.text(".apart")
    # Of twelve noisy samples the first memorized all, the second the last six, and corrected the others.
    assert tables[2] == [
        ["memorized by the first", "6", "6", "0", "12"],
        ["corrected by the first", "0", "0", "0", "0"],
        ["neither by the first", "0", "0", "0", "0"],
        ["all", "6", "6", "0", "12"],
    ]
    shown = view.text("#compared")
    assert "memorized by both 6, by the first only 6, by the second only 0, by none 0." in shown
    view.click("#compared details summary")
    assert view.text("#compared .indices") == "3, 4, 5, 6, 7, 8"


def test_losses_of_one_function_are_overlaid_and_other_labels_are_not_matched(view: View) -> None:
    view.open()
    ids = view.ids()
    view.open(f"#/compare?chosen={ids['CE_0.2']},{ids['CE_0.4']}")
    lines = view.read(
        "[...document.querySelectorAll('#compared .chart')].map((one) => one.querySelectorAll('.line').length)"
    )
    assert lines == [2, 2]
    assert "They were trained on other labels" in view.text("#compared")


def test_only_so_many_are_compared_at_once(view: View) -> None:
    view.open("#/runs")
    view.browser.execute_script(
        "for (let n = 0; n < 9; n += 1) runs.push({ ...runs[0], id: `more${n}` }); makeRows(); showRows();"
    )
    for box in view.browser.find_elements(By.CSS_SELECTOR, "#table tbody input")[:7]:
        box.click()
    assert view.text("#message") == "At most 6 runs are compared at once."
    assert view.text("#chosen") == "6"


@pytest.mark.parametrize("columns", ["x", "length", "map,0", "999", "-1"])
def test_an_address_of_something_else_shows_the_table(view: View, columns: str) -> None:
    view.open(f"#/run/none?sort=none&only.none=1&chosen=none&columns={columns}")
    assert len(view.column("run")) == 5


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_nothing_is_wider_than_the_window(view: View, width: int) -> None:
    view.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    view.open()
    ids = view.ids()
    for address in ("", "#/runs", f"#/run/{ids['CE_0.2']}", f"#/compare?chosen={ids['CE_0.2']},{ids['SCE_0.2']}"):
        view.open(address)
        assert view.read("document.documentElement.scrollWidth") <= width
    view.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_curve_has_a_panel(view: View) -> None:
    view.open()
    assert view.read("Object.keys(data.curves).filter((key) => !PANELS.some(({ keys }) => keys.test(key)))") == []
    assert view.read("Object.keys(data.curves)") == list(CURVES)


def test_no_text_from_outside_is_anything_but_text(browser: webdriver.Chrome, tmp_path: Path) -> None:
    for number, text in enumerate(NASTY):
        config = {**CONFIG, "model": {**CONFIG["model"], "loss": {"class_path": f"a.{text}", "init_args": {"a": text}}}}
        make_run(tmp_path / str(number), {**RESULT, "class_names": [text], "git_commit": text}, config)
    report = collect([tmp_path])
    for row, text in zip(report.rows, NASTY, strict=True):
        row["run"] = text
    write_report(tmp_path / "out", report, NASTY[0], pictures=False)
    view = View(browser, tmp_path / "out/report.html")
    view.open("#/runs")
    assert view.browser.title == f"Runs – {NASTY[0]}"
    assert [view.read(f"runs[{place}].values[0]") for place in range(len(NASTY))] == list(NASTY)
    for name in view.ids().values():
        view.open(f"#/run/{name}")
        assert view.read("document.querySelectorAll('#run script, #run img, main script').length") == 0
    view.open(f"#/compare?chosen={','.join(view.ids().values())}")
    assert NASTY[0] in view.text("#compared")
    assert browser.get_log("browser") == []
