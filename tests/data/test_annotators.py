"""Several annotators: what they amount to, who of them is good, and that it depends on nothing else."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from noisy_lightning.data.annotators import (
    Annotations,
    annotator_agreement,
    annotator_table,
    consensus,
    count_votes,
    dawid_skene,
    image_table,
)
from noisy_lightning.data.noise.label_columns import read_labels
from tests.conftest import SHARED_DATA
from tests.reference import annotators as reference

CLASSES = 4
EXPERTS, SPAMMERS = 3, 4
HUMAN = SHARED_DATA / "labels/CIFAR-10_human.pt"


def of_rows(rows: list[dict[int, int]], classes: int = CLASSES) -> Annotations:
    """Return annotations by image, each by annotator."""
    cells = [(image, annotator, label) for image, row in enumerate(rows) for annotator, label in row.items()]
    image, annotator, label = np.array(cells, dtype=np.int64).T
    names = [f"a{number}" for number in range(annotator.max() + 1)]
    return Annotations(image, annotator, label, len(rows), names, classes)


def crowd(images: int = 400) -> tuple[list[dict[int, int]], np.ndarray]:
    """Return the labels of three experts and of more spammers, who all say 0 or 1, and the true labels.

    Each image is seen by two of the experts and three of the spammers, so that these have the majority.
    """
    random = np.random.default_rng(0)
    true = random.integers(0, CLASSES, images)
    rows = []
    for label in true:
        row = {}
        for expert in random.permutation(EXPERTS)[:2]:
            row[int(expert)] = int(label if random.random() < 0.9 else random.integers(CLASSES))
        for spammer in random.permutation(SPAMMERS)[:3]:
            row[int(EXPERTS + spammer)] = int(random.integers(2))
        rows.append(row)
    return rows, true


def test_a_majority_wins_and_agreement_is_its_share() -> None:
    found = consensus(of_rows([{0: 1, 1: 1, 2: 0}, {0: 2, 1: 2, 2: 2}, {1: 3}, {0: 0, 1: 0, 2: 0}]), "majority")
    assert found.labels.tolist() == [1, 2, 3, 0]
    assert found.agreement.tolist() == pytest.approx([2 / 3, 1, 1, 1])
    assert found.counts.tolist() == [3, 3, 1, 3]
    assert found.ties == 0
    counts, agreed = annotator_agreement(found)
    assert counts.tolist() == [3, 4, 3]
    assert agreed.tolist() == pytest.approx([1, 1, 2 / 3])


def test_the_model_follows_the_paper_in_loops() -> None:
    rows, _ = crowd(30)
    model = dawid_skene(of_rows(rows))
    weights = reference.votes(rows, CLASSES)
    for objective in model.objective:
        p, pi = reference.maximize(rows, weights, EXPERTS + SPAMMERS, CLASSES)
        weights, expected = reference.expect(rows, p, pi)
        assert objective == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(model.posterior, weights, atol=1e-9)
    np.testing.assert_allclose(model.prior, p)
    right = [sum(p[j] * observer[j][j] for j in range(CLASSES)) for observer in pi]
    np.testing.assert_allclose(model.accuracy, right)


@pytest.mark.parametrize("seed", range(5))
def test_no_iteration_makes_the_model_worse(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [{int(one): int(random.integers(CLASSES)) for one in random.permutation(6)[:3]} for _ in range(50)]
    objective = np.array(dawid_skene(of_rows(rows)).objective)
    assert len(objective) > 5
    assert (np.diff(objective) > -1e-9 * abs(objective[0])).all()


def test_the_model_sees_through_spammers_where_the_majority_does_not() -> None:
    rows, true = crowd()
    by_votes, by_model = (consensus(of_rows(rows), rule) for rule in ("majority", "dawid_skene"))
    accuracy = [(found.labels.numpy() == true).mean() for found in (by_votes, by_model)]
    assert accuracy[0] < 0.8
    assert accuracy[1] > 0.9
    assert by_model.annotator_accuracy[:EXPERTS].min() > 0.85
    assert by_model.annotator_accuracy[EXPERTS:].max() < 0.35


def test_a_tie_goes_to_the_better_annotator_and_never_to_the_order_of_the_rows() -> None:
    rows, true = crowd()
    tied = [{0: int(label), EXPERTS: int((label + 1) % 2)} for label in true[:20]]
    found = consensus(of_rows(rows + tied), "majority")
    assert found.labels[-20:].tolist() == true[:20].tolist()
    assert found.ties >= 20
    order = np.random.default_rng(1).permutation(len(rows) + len(tied))
    shuffled = consensus(of_rows([(rows + tied)[place] for place in order]), "majority")
    assert shuffled.labels.tolist() == found.labels[order].tolist()
    torch.testing.assert_close(shuffled.probability, found.probability[order])


def test_where_nothing_decides_the_first_class_counts() -> None:
    for rule in ("majority", "dawid_skene"):
        found = consensus(of_rows([{0: 0, 1: 1}, {0: 1, 1: 0}], classes=2), rule)
        assert found.labels.tolist() == [0, 0]
        assert found.ties == 2


def test_the_tables_are_read_back() -> None:
    found = consensus(of_rows([{0: 1, 1: 1, 2: 0}, {0: 0}], classes=2), "majority")
    images = list(csv.DictReader(io.StringIO(image_table(found, ["a, b", "=c"], ["1.png", "2.png"]))))
    assert [(row["path"], row["label"], row["annotations"]) for row in images] == [
        ("1.png", "'=c", "3"),  # a spreadsheet would compute what begins with =
        ("2.png", "a, b", "1"),
    ]
    assert [float(row["agreement"]) for row in images] == pytest.approx([2 / 3, 1], abs=1e-4)
    assert image_table(found, ["a", "b"], None).splitlines()[1].startswith("0,,b,3,0.6667,")
    people = list(csv.DictReader(io.StringIO(annotator_table(found))))
    assert [(row["annotator"], row["annotations"], row["agreement"]) for row in people] == [
        ("a0", "2", "1.0000"),
        ("a1", "1", "1.0000"),
        ("a2", "1", "0.0000"),
    ]


def test_cleanlab_takes_the_annotations_as_they_are_kept() -> None:
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    rows, true = crowd()
    annotations = of_rows(rows)
    table = annotations.table()
    assert np.isnan(table).sum() == table.size - len(annotations.label)
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(CLASSES), len(true)) * 0.4
    probabilities[np.arange(len(true)), true] += 0.6
    found = multiannotator.get_label_quality_multiannotator(table, probabilities, verbose=False)
    by_crowdlab = found["label_quality"]["consensus_label"].to_numpy()
    majority = consensus(annotations, "majority").labels.numpy()
    assert (by_crowdlab == true).mean() > (majority == true).mean()


@pytest.mark.skipif(not HUMAN.exists(), reason="the labels of CIFAR-10N are not beside the repository")
def test_three_people_are_right_more_often_together_than_alone() -> None:
    columns = [read_labels(Path(HUMAN), f"random_label{number}") for number in (1, 2, 3)]
    given = torch.stack([column.given for column in columns], 1).numpy()
    true, aggregated = columns[0].true, read_labels(Path(HUMAN), "aggre_label").given
    assert true is not None
    image, annotator = (part.reshape(-1) for part in np.indices(given.shape))
    annotations = Annotations(image, annotator, given.reshape(-1), len(given), ["1", "2", "3"], 10)
    found = consensus(annotations, "majority")
    alone = (given == true.numpy()[:, None]).mean(0)
    assert (found.labels == true).double().mean().item() == pytest.approx(0.9195, abs=1e-4)
    assert (aggregated == true).double().mean().item() == pytest.approx(0.9099, abs=1e-4)
    assert alone.max() < 0.83
    tied = torch.from_numpy((count_votes(annotations) > 0).sum(1) == 3)
    assert int(tied.sum()) == found.ties == 3041
    # Of what nobody agrees on, the model finds more than the 27 % that chance does.
    assert (found.labels == true)[tied].double().mean().item() > 0.4
    assert found.annotator_accuracy.numpy() == pytest.approx(alone, abs=0.02)
