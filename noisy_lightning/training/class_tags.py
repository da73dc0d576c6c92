"""Names of classes where people read them as names of curves."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST = 100
"""Classes of which each has a curve of its own; more would be charts that nobody looks through."""
_BY_CLASS = re.compile(r"(.+/acc_class)/(\d+)")


def class_tags(class_names: Sequence[str]) -> list[str]:
    """Return, for each class, its name as all loggers take it within the name of a curve, each another one.

    Letters of all scripts stay; what else may not stand there, such as a slash or a space, becomes an underscore.

    Args:
        class_names: K names.
    """
    tags = [re.sub(r"[^\w.-]+", "_", name) for name in class_names]
    return [f"{tag}_{k}" if tags.count(tag) > 1 or not tag.strip("_") else tag for k, tag in enumerate(tags)]


def by_class_name(values: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Return values with `acc_class/<name>` in place of `acc_class/<k>`; without these where there are too many.

    Args:
        values: By name.
        class_names: K names.
    """
    if not any(_BY_CLASS.fullmatch(name) for name in values):
        return dict(values)
    tags = class_tags(class_names) if len(class_names) <= MOST else []
    named = {}
    for name, value in values.items():
        if (found := _BY_CLASS.fullmatch(name)) is None:
            named[name] = value
        elif tags:
            named[f"{found[1]}/{tags[int(found[2])]}"] = value
    return named
