"""The list of small mistakes keeps up with the code."""

import pytest

from tests.processes import ROOT
from tests.tools.mutations import Mutation, mutated, read_mutations

MUTATIONS = read_mutations((ROOT / "tests/tools/mutations.txt").read_text())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"line {mutation.line}")
def test_a_mutation_fits_the_code_and_names_tests_that_there_are(mutation: Mutation) -> None:
    source = (ROOT / "noisy_lightning" / mutation.file).read_text()
    assert mutated(source, mutation) != source
    for name in mutation.tests:
        file, _, test = name.partition("::")
        text = (ROOT / "tests" / file).read_text()
        assert f"def {test.partition('[')[0]}(" in text or not test


def test_there_are_enough_of_them() -> None:
    assert len(MUTATIONS) >= 150
