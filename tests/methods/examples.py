"""Arguments with which the contract tests make each method; a method may stand here more than once."""

from typing import Any

from noisy_lightning import methods
from noisy_lightning.methods import Method, Problem

EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Standard", {}),
    ("DynamicWeights", {"mode": "as_described"}),
    ("DynamicWeights", {"mode": "as_run"}),
    ("DynamicWeights", {"mode": "per_sample"}),
)
NAMES = [f"{name}-{'-'.join(map(str, arguments.values()))}".strip("-") for name, arguments in EXAMPLES]


def make(example: tuple[str, dict[str, Any]], problem: Problem) -> Method:
    """Return the method."""
    name, arguments = example
    method: Method = getattr(methods, name)(problem, **arguments)
    return method


def options(example: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the method as options of the command line."""
    name, arguments = example
    words = ["--model.method", name]
    for key, value in arguments.items():
        words += [f"--model.method.{key}", str(value)]
    return words
