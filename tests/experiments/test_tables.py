import csv
import io
import json
import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.axes import EPOCH, axes_of, further_axes
from noisy_lightning.experiments.ledger import Row
from noisy_lightning.experiments.tables import Table, comparisons_of, tables_of
from noisy_lightning.experiments.written_tables import as_csv, as_latex, as_markdown, compared, comparison_as_markdown


def _row(method: str, noise: str, last: float, seed: int = 0, **others: object) -> Row:
    axes = {"axis_method": method, "axis_noise": noise, "axis_seed": str(seed)}
    return {**axes, "dataset": "CIFAR10", "acc_last": last, "acc_chosen": None, "oracle": False, **others}


def _best(table: Table) -> list[tuple[str, str]]:
    """Return rows and columns of the cells in bold."""
    return [(name, column) for name, cells in table.rows.items() for column, cell in cells.items() if cell.best]


def _highest(table: Table) -> list[tuple[str, str]]:
    """Return rows and columns of the cells in italics."""
    return [(name, column) for name, cells in table.rows.items() for column, cell in cells.items() if cell.highest]


def test_cells_are_means_and_sample_deviations_over_seeds() -> None:
    rows = [_row("CE", "clean", last, seed) for seed, last in enumerate((0.90, 0.92, 0.94))]
    (table,) = tables_of(rows)
    cell = table.rows["CE"]["clean"]
    assert cell.mean == pytest.approx(92)
    assert cell.std == pytest.approx(2)
    assert cell.text == "92.00 ± 2.00"
    assert table.caption == "Test accuracy in %, last epoch (n = 3)"


def test_bold_and_italics_say_what_a_test_says() -> None:
    values = {"a": (0.80, 0.84, 0.82), "b": (0.78, 0.80, 0.82), "c": (0.50, 0.52, 0.51)}
    rows = [_row(name, "x", last, seed) for name, own in values.items() for seed, last in enumerate(own)]
    rows += [_row("a", "y", 0.5), _row("b", "y", 0.6)]
    (table,) = tables_of(rows)
    assert _best(table) == [("a", "x"), ("b", "x")]
    assert _highest(table) == [("b", "y")]
    caption, _, *lines = as_markdown(table).splitlines()
    # s² = (4 + 4 + 1) / 3, t of 6 degrees of freedom at 0.975 is 2.447: 2.447 · 1.732 · √(2 / 3) = 3.46.
    assert lines == [
        "| method | x | y |",
        "| --- | ---: | ---: |",
        "| a | **82.00 ± 2.00** | 50.00 |",
        "| b | **80.00 ± 2.00** | *60.00* |",
        "| c | 51.00 ± 1.00 | – |",
        "| difference that the test finds (median) | 3.46 | – |",
    ]
    assert caption == (
        "Test accuracy in %, last epoch (n = 1 to 3). Bold: the highest mean, and what the test cannot tell from it, "
        "unless only for being unsteady. "
        "Italic: the highest mean where the test finds too little or needs a second run. "
        "Test: one-sided t against the highest, variances moderated (Smyth, 2004), 5 % in all by Bonferroni "
        "(Hsu, 1984)."
    )


def test_a_note_says_no_more_than_the_table_needs() -> None:
    (single,) = tables_of([_row("a", "x", 0.5), _row("b", "x", 0.6)])
    assert single.note == "Italic: the highest of single runs, which no test can tell from chance."
    (alone,) = tables_of([_row("a", "x", 0.5)])
    assert alone.note == ""
    pairs = {"a": (0.80, 0.81), "b": (0.50, 0.51)}
    (two,) = tables_of([_row(name, "x", last, seed) for name, own in pairs.items() for seed, last in enumerate(own)])
    assert two.note.startswith("Bold: the highest mean, where the test finds all others lower. Test: one-sided t")


def test_a_lonely_row_is_not_bold() -> None:
    (table,) = tables_of([_row("CE", "clean", 0.5)])
    assert not table.rows["CE"]["clean"].best
    assert not table.rows["CE"]["clean"].highest


def test_only_accuracies_under_the_same_noise_compete() -> None:
    accuracies = {("a", "x"): 0.9, ("b", "x"): 0.8, ("a", "y"): 0.4, ("b", "y"): 0.5}
    rows = [{**_row(*names, last, acc_chosen=last), "noise": names[1]} for names, last in accuracies.items()]
    (across_epochs,) = tables_of(rows, across=EPOCH)
    assert {row for row, _ in _highest(across_epochs)} == {"a, x", "b, y"}
    assert len(_highest(across_epochs)) == 2 * 2
    for table in tables_of(rows, across="method"):
        assert _highest(table) == [("x", "a"), ("y", "b")]


def test_only_accuracies_on_the_same_data_compete() -> None:
    accuracies = {("a", "MNIST"): 0.9, ("b", "MNIST"): 0.8, ("a", "CIFAR10"): 0.4, ("b", "CIFAR10"): 0.5}
    rows = [
        {**_row(method, dataset, last, acc_chosen=last), "dataset": dataset, "noise": "Symmetric(rate=0.4)"}
        for (method, dataset), last in accuracies.items()
    ]
    (across_epochs,) = tables_of(rows, across=EPOCH)
    assert {row for row, _ in _highest(across_epochs)} == {"a, MNIST", "b, CIFAR10"}


def test_a_single_run_has_no_deviation_in_a_file() -> None:
    tables = tables_of([_row("CE", "x", 0.5), _row("SCE", "x", 0.6), _row("SCE", "x", 0.62, 1)])
    lines = list(csv.DictReader(io.StringIO(as_csv(tables))))
    assert [(line["row"], line["std"], line["n"]) for line in lines] == [("CE", "", "1"), ("SCE", "1.4142", "2")]


def test_single_runs_beside_several_are_not_called_the_highest_of_single_runs() -> None:
    (table, *_) = tables_of([_row("CE", "x", 0.5), _row("SCE", "x", 0.6), _row("SCE", "x", 0.62, 1)])
    assert table.note == "Italic: the highest mean; single runs among them allow no test."


def test_markdown_shows_names_letter_by_letter() -> None:
    names = ("a|b", "<b>x</b>", "*x*", "_x_ y_z", "`c`", "d\\e")
    markdown = as_markdown(tables_of([_row(name, "x|y", 0.5) for name in names])[0])
    html = MarkdownIt().enable("table").render(markdown)
    cells = [unescape(cell) for cell in re.findall("<t[dh][^>]*>(.*?)</t[dh]>", html)]
    assert "x|y" in cells
    assert [cell for cell in cells if cell in names] == list(names)


def test_latex_escapes_what_it_must() -> None:
    values = {"A_1 & 50 %": (0.5, 0.51), "b": (0.6, 0.62), "c": (0.2, 0.21)}
    (table,) = tables_of([_row(name, "x", last, seed) for name, own in values.items() for seed, last in enumerate(own)])
    text = as_latex(table)
    assert r"A\_1 \& 50 \% & 50.50 $\pm$ 0.71 \\" in text
    assert r"\textbf{61.00 $\pm$ 1.41}" in text
    assert r"difference that the test finds (median) & 3.18 \\" in text
    assert r"\footnotesize Bold: the highest mean, where the test finds all others lower. Test:" in text
    assert r"5 \% in all by Bonferroni" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\textit{60.00}" in as_latex(*tables_of([_row("a", "x", 0.6), _row("b", "x", 0.5)]))
    (table,) = tables_of([_row(r"#1 {a} $b ~c^ \d", "±", 0.5)])
    line = r"\#1 \{a\} \$b \textasciitilde{}c\textasciicircum{} \textbackslash{}d & 50.00 \\"
    assert line in as_latex(table)
    assert r"method & $\pm$ \\" in as_latex(table)


def test_csv_has_a_line_per_cell() -> None:
    tables = tables_of([_row("a", "x", 0.5, acc_chosen=0.4), _row("a", "x", 0.6, 1, acc_chosen=0.4)])
    lines = list(csv.DictReader(io.StringIO(as_csv(tables))))
    assert [line["measure"] for line in lines] == ["acc_last", "acc_chosen"]
    assert lines[0] == {
        **{"measure": "acc_last", "row": "a", "column": "x", "mean": "55.0000", "std": "7.0711", "n": "2"},
        **{"best": "0", "highest": "0"},
    }


def test_no_cell_of_a_csv_is_a_formula() -> None:
    tables = tables_of([_row("=x", "@y", 0.5), _row("a=x", "+y", 0.6), _row("-x", "a", 0.6)])
    rows = list(csv.reader(io.StringIO(as_csv(tables))))[1:]
    assert {row[1] for row in rows} == {"'=x", "a=x", "'-x"}
    assert {row[2] for row in rows} == {"'@y", "'+y", "a"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_an_oracle_is_named_in_its_row() -> None:
    (table,) = tables_of([_row("CE", "x", 0.5), _row("CE", "x", 0.9, oracle=True)])
    assert list(table.rows) == ["CE", "CE (oracle)"]


def test_columns_are_of_any_axis() -> None:
    rows = [_row("CE", "clean", 0.5), _row("MAE", "clean", 0.6)]
    (table,) = tables_of(rows, across="method")
    assert list(table.columns) == ["CE", "MAE"]
    assert list(table.rows) == ["clean"]
    with pytest.raises(InputError, match="there is no axis loss; there are method, noise, epoch"):
        tables_of(rows, across="loss")


def test_one_table_across_the_epoch_has_every_kind_of_accuracy() -> None:
    rows = [_row("CE", "clean", 0.5, acc_chosen=0.6), _row("MAE", "clean", 0.7)]
    (table,) = tables_of(rows, across=EPOCH)
    assert as_markdown(table).splitlines() == [
        *("Test accuracy in % (n = 1). Italic: the highest of single runs, which no test can tell from chance.", ""),
        "| method, noise | last epoch | epoch chosen on noisy validation |",
        "| --- | ---: | ---: |",
        "| CE, clean | 50.00 | 60.00 |",
        "| MAE, clean | *70.00* | – |",
    ]
    lines = list(csv.DictReader(io.StringIO(as_csv([table]))))
    assert [(line["measure"], line["row"], line["column"]) for line in lines] == [
        ("acc_last", "CE, clean", ""),
        ("acc_chosen", "CE, clean", ""),
        ("acc_last", "MAE, clean", ""),
    ]


def test_a_single_axis_stands_against_the_epoch() -> None:
    rows: list[Row] = [{"axis_loss": name, "axis_seed": "0", "acc_last": 0.5, "acc_chosen": 0.6} for name in "ab"]
    (table,) = tables_of(rows)
    assert list(table.rows) == ["a", "b"]
    assert list(table.columns) == ["last epoch", "epoch chosen on noisy validation"]


def test_runs_of_no_sweep_are_named_by_what_differs() -> None:
    plain = {"dataset": "CIFAR10", "method": "Standard", "noise": "Symmetric(rate=0.4)", "acc_last": 0.5}
    rows: list[Row] = [{**plain, "loss": "CrossEntropy"}, {**plain, "loss": "MeanAbsoluteError"}]
    assert list(axes_of(rows)) == ["loss"]
    assert list(axes_of(rows[:1])) == ["loss", "noise"]
    (table,) = tables_of(rows)
    assert table.rows.keys() == {"CrossEntropy", "MeanAbsoluteError"}


def _configured(row: Row, seed: int, epochs: int, **trainer: object) -> Row:
    """Return a row as a ledger has it, which knows the run's configuration."""
    settings = {"trainer": {"max_epochs": epochs, **trainer}, "model": {"loss": {"class_path": "x.CE"}}}
    return {**row, "seed": seed, "data_seed": seed, "settings": json.dumps(settings)}


def test_runs_of_other_lengths_are_not_taken_for_seeds() -> None:
    """As from two sweeps of one grid, one of them with `--trainer.max_epochs 2`."""
    rows = [_configured(_row("CE", "x", last, seed), seed, 10) for seed, last in enumerate((0.80, 0.82))]
    rows += [_configured(_row("CE", "x", last, seed), seed, 2) for seed, last in enumerate((0.40, 0.44))]
    (table,) = tables_of(rows)
    assert table.corner == "method, epochs"
    assert {name: [cell.text for cell in cells.values()] for name, cells in table.rows.items()} == {
        "CE, epochs 10": ["81.00 ± 1.41"],
        "CE, epochs 2": ["42.00 ± 2.83"],
    }
    assert further_axes(rows) == ["epochs"]


def test_a_key_that_no_column_holds_distinguishes_runs_by_its_name() -> None:
    rows = [_configured(_row("CE", "x", 0.8, 0), 0, 10, gradient_clip_val=clip) for clip in (None, 1.0)]
    (table,) = tables_of(rows)
    assert table.corner == "method, gradient clip val"
    assert list(table.rows) == ["CE, gradient clip val null", "CE, gradient clip val 1.0"]
    assert further_axes(rows) == ["trainer.gradient_clip_val"]


def test_runs_that_differ_in_nothing_but_seeds_need_no_further_axis() -> None:
    rows = [_configured(_row("CE", "x", 0.8, seed), seed, 10) for seed in (0, 1)]
    assert list(axes_of(rows)) == ["method", "noise"]
    assert further_axes(rows) == []


def test_epochs_after_which_runs_ended_by_themselves_do_not_distinguish_them() -> None:
    rows = [{**_configured(_row("CE", "x", 0.8, seed), seed, 10), "epochs": ended} for seed, ended in ((0, 7), (1, 9))]
    assert list(axes_of(rows)) == ["method", "noise"]


def test_rows_of_older_ledgers_are_distinguished_by_their_columns() -> None:
    rows = [_row("CE", "x", 0.8, seed, epochs=epochs, val_fraction=0.1) for seed, epochs in ((0, 10), (1, 2))]
    (table,) = tables_of(rows)
    assert list(table.rows) == ["CE, epochs 10", "CE, epochs 2"]
    mixed = [*rows, _configured(_row("CE", "x", 0.8, 2, val_fraction=0.1), 2, 10)]
    (table,) = tables_of(mixed)
    assert [(name, len(cells["x"].values)) for name, cells in table.rows.items()] == [
        ("CE, epochs 10", 2),
        ("CE, epochs 2", 1),
    ]


def test_a_run_counts_once_however_often_it_is_given() -> None:
    rows = [_configured(_row("CE", "x", last, 0), seed, 10) for last, seed in ((0.8, 0), (0.8, 0), (0.9, 1))]
    (table,) = tables_of(rows)
    assert list(table.rows["CE"]["x"].values) == pytest.approx([80, 90])


def test_published_numbers_stand_beside_ours_by_their_epoch_rule() -> None:
    rows = [
        _row("NFL+RCE as run", "symmetric 0.9", last, seed, published_source="study 4", published_method="NFL+RCE")
        for seed, last in enumerate((0.20, 0.22))
    ]
    (one,) = comparisons_of(rows)
    assert one.difference == pytest.approx(21 - 19.12)
    (line,) = compared([one])
    assert line[:7] == [
        *(
            "NFL+RCE as run",
            "symmetric 0.9",
            "21.00 ± 1.41",
            "19.12",
            "+1.88",
            "Kim and Kang (2023), Table 3, n = 1",
            "last",
        )
    ]
    assert "| +1.88 |" in comparison_as_markdown([one])
    (table,) = tables_of(rows)
    text = as_markdown(table, [one])
    assert text.splitlines()[-1] == "| NFL+RCE as run | 21.00 ± 1.41 (19.12) |"
    assert text.startswith("Test accuracy in %, last epoch (n = 2); in brackets: Kim and Kang (2023):")


def test_what_is_known_from_memory_is_marked_and_not_compared() -> None:
    rows = [_row("GCE", "symmetric 0.4", 0.8, published_source="Ma et al. 2020")]
    (one,) = comparisons_of(rows)
    assert one.difference is None
    (table,) = tables_of(rows)
    assert as_markdown(table, [one]) == as_markdown(table)
    assert compared([one])[0][3:5] == ["82.66 (from memory)", "not compared"]


def test_an_epoch_rule_that_we_have_no_number_for_is_not_compared() -> None:
    rows = [_row("CE", "CIFAR-10N worst", 0.7, published_source="CIFAR-N paper")]
    comparisons = comparisons_of(rows)
    assert [one.published.epoch_rule for one in comparisons] == ["best on test"]
    assert compared(comparisons)[0][2:5] == ["–", "77.69 ± 1.55", "–"]
