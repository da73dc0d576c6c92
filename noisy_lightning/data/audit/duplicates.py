"""Images that are there more than once, in the same pixels or in nearly the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.audit.appearance import THUMBNAIL_SIDE, Appearance
from noisy_lightning.data.audit.features import Neighbors
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.audit.hashes import Pairs, close_pairs
from noisy_lightning.runs.measures import Bools, Floats, Ints

_BITS = 4
_CONTRAST = 8  # gray values that a thumbnail must span for its hash to say something
_FRACTION = 0.13  # cleanlab's, of the distance between ordinary neighbors
_OTHERS = 1000  # images that tell how alike different ones are
_COPIES = 50  # others with a close hash that still may be copies of one image, such as frames of a video
_AT_ONCE = 5000  # pairs whose thumbnails are compared at once


class Shown(NamedTuple):
    """The n images that are compared."""

    members: Ints
    """(n,) which they are, as in `Findings`."""
    labels: Ints
    """(n,) their given labels, for test images the true ones; -1 where nobody knows them."""


def exact_groups(look: Appearance) -> list[list[int]]:
    """Return the places of images of equal pixels, as groups of one or more, in the order of their first ones."""
    groups: dict[bytes, list[int]] = {}
    for place, digest in enumerate(look.digest):
        groups.setdefault(digest, []).append(place)
    return list(groups.values())


def exact_duplicates(groups: Sequence[Sequence[int]], shown: Shown) -> Findings:
    """Return the groups of two or more images of equal pixels.

    Args:
        groups: As `exact_groups` returns them.
        shown: The images.
    """
    several = [group for group in groups if len(group) > 1]
    rule = "all pixels are equal (score: how many images)"
    return _ordered("exact duplicates", rule, several, [len(group) for group in several], shown)


def near_by_hash(look: Appearance, of_each: Ints, shown: Shown, touching: Bools | None = None) -> Findings:
    """Return pairs of images that look alike by a perceptual hash.

    A difference hash says little of images that have much in common, such as digits on black: there, thumbnails must be
    far more alike than those of other images are.

    Args:
        look: Of n images.
        of_each: (m,) places of the images to compare, ascending: one of each exact group.
        shown: The n images.
        touching: (n,) images of which a pair must hold at least one; None: any pair counts.
    """
    rule = (
        f"difference hashes (dHash, 64 bits) differ in at most {_BITS}, and the distance of 16×16 thumbnails (1 - "
        f"correlation) is below {_FRACTION} of that to the nearest of {_OTHERS:,} other images (score: correlation)"
    )
    kind = "near duplicates" if touching is None else "near duplicates of test images"
    thumbnails = look.thumbnail.reshape(len(look.thumbnail), -1)
    spans = thumbnails.max(1).astype(np.int64) - thumbnails.min(1)
    places = of_each[spans[of_each] >= _CONTRAST]
    pairs = close_pairs(look.dhash[places], _BITS)
    if pairs is None:
        return Findings(kind, rule, [], [], "not looked for: the hashes of these images hardly differ")
    pairs, correlation = _alike(_normalized(thumbnails[places]), pairs)
    if touching is not None:
        kept = touching[places[pairs]].any(1)
        pairs, correlation = pairs[kept], correlation[kept]
    return _ordered(kind, rule, places[pairs].tolist(), correlation.tolist(), shown)


def near_by_features(neighbors: Neighbors, of_each: Ints, shown: Shown) -> Findings:
    """Return pairs of images whose features are far closer than those of ordinary neighbors.

    The rule is cleanlab's (Datalab).

    Args:
        neighbors: Positions of the 10 nearest of each of m training images, one of each exact group.
        of_each: (m,) positions of these images in the training set.
        shown: All n compared images; those of the training set come first, in the order of their positions.
    """
    distance = 1 - neighbors.similarity
    there = neighbors.positions >= 0
    limit = _FRACTION * np.median(distance[there[:, 0], 0]) if there.any() else 0.0
    rows, columns = np.nonzero(there & (distance < limit))
    both = np.stack([of_each[rows], neighbors.positions[rows, columns]], 1)
    pairs, first = np.unique(np.sort(both, axis=1), axis=0, return_index=True)
    scores = neighbors.similarity[rows, columns][first]
    rule = (
        f"the cosine distance of features is below {_FRACTION} of the median distance to the nearest neighbor, that is "
        f"below {limit:.3g}, among the {neighbors.positions.shape[1]} nearest (score: cosine)"
    )
    in_training = shown.members[shown.members >= 0]
    places = np.searchsorted(in_training, pairs)
    return _ordered("near duplicates", rule, places.tolist(), scores.tolist(), shown)


def _ordered(kind: str, rule: str, groups: Sequence[Sequence[int]], scores: Sequence[float], shown: Shown) -> Findings:
    """Return findings with groups of different labels first, then those of training and test images, then others."""

    def urgency(at: int) -> tuple[int, float, Sequence[int]]:
        group = list(groups[at])
        labels = {label for label in shown.labels[group].tolist() if label >= 0}
        is_test = {member < 0 for member in shown.members[group].tolist()}
        rank = 0 if len(labels) > 1 else 1 if len(is_test) > 1 else 2
        return rank, -scores[at], group

    order = sorted(range(len(groups)), key=urgency)
    members = [tuple(shown.members[list(groups[at])].tolist()) for at in order]
    return Findings(kind, rule, members, [float(scores[at]) for at in order])


def _normalized(thumbnails: NDArray[np.uint8]) -> Floats:
    """Return thumbnails (n, 256) whose product is their correlation; none of them is constant."""
    centered = thumbnails - thumbnails.mean(1, dtype=np.float32, keepdims=True)
    unit: Floats = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    return unit


def _alike(unit: Floats, pairs: Pairs) -> tuple[Pairs, Floats]:
    """Return those of pairs (m, 2) that are far more alike than other images are, and the correlation of each."""
    limit = (_FRACTION * _to_others(unit, pairs))[pairs].min(1, initial=2)
    # Means over 2 × 2 cells, as a projection, cannot be farther from each other than what they are means of.
    half = THUMBNAIL_SIDE // 2
    coarse = unit.reshape(-1, half, 2, half, 2).sum((2, 4)).reshape(len(unit), half * half) / 2
    for vectors in (coarse, unit):
        parts = np.array_split(pairs, max(1, len(pairs) // _AT_ONCE))
        squares = [np.square(vectors[part[:, 0]] - vectors[part[:, 1]]).sum(1) for part in parts]
        distance = np.concatenate(squares) / 2
        kept = distance < limit
        pairs, limit, distance = pairs[kept], limit[kept], distance[kept]
    return pairs, np.asarray(1 - distance, np.float32)


def _to_others(unit: Floats, pairs: Pairs) -> Floats:
    """Return how far each of n images that is in a pair is from the nearest of other images; 0 for the rest.

    An image and its likely copies do not count.
    """
    others = np.random.default_rng(0).permutation(len(unit))[:_OTHERS]
    column = np.full(len(unit), -1)
    column[others] = np.arange(len(others))
    count = np.bincount(pairs.ravel(), minlength=len(unit))
    rows = np.flatnonzero(count)
    row = np.cumsum(count > 0) - 1
    alike = unit[rows] @ unit[others].T
    there = column[rows] >= 0
    alike[there, column[rows[there]]] = -1
    for one, two in (pairs.T, pairs.T[::-1]):
        copies = (count[one] <= _COPIES) & (column[two] >= 0)
        alike[row[one[copies]], column[two[copies]]] = -1
    distance = np.zeros(len(unit), np.float32)
    distance[rows] = 1 - alike.max(1, initial=-1)
    return distance
