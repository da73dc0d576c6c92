import numpy as np
import pytest

from noisy_lightning.data.audit import duplicates, hashes
from noisy_lightning.data.audit.duplicates import Shown, exact_duplicates, exact_groups, near_by_features, near_by_hash
from noisy_lightning.data.audit.features import nearest_neighbors, unit_features
from tests.data.audit.pictures import Pixels, brightened, encoded, photographs
from tests.data.audit.test_appearance import look


def shown(count: int, test: int = 0, labels: list[int] | None = None) -> Shown:
    """Return `count` training images and `test` test images, of one class if no labels are given."""
    members = np.concatenate([np.arange(count), -1 - np.arange(test)])
    return Shown(members, np.zeros(count + test, int) if labels is None else np.array(labels))


def of_each(pictures: Pixels) -> np.ndarray:
    return np.array([group[0] for group in exact_groups(look(pictures))])


def near(pictures: Pixels, images: Shown | None = None) -> list[tuple[int, ...]]:
    found = near_by_hash(look(pictures), of_each(pictures), images or shown(len(pictures)))
    assert all(0.9 < score <= 1 for score in found.scores)
    return list(found.members)


def test_equal_pixels_are_one_group_with_different_labels_first_and_leaks_next() -> None:
    pictures = photographs(8)[[0, 1, 2, 1, 3, 2, 2, 4, 5, 6, 3, 0]]  # the last three are test images
    found = exact_duplicates(exact_groups(look(pictures)), shown(9, 3, [0, 0, 0, 1, 1, 2, 2, 2, 0, 0, 1, 0]))
    assert found.members == [(2, 5, 6), (1, 3), (0, -3), (4, -2)]
    assert found.scores == [3, 2, 2, 2]
    assert found.leaks == 2


def test_unknown_labels_do_not_differ() -> None:
    pictures = photographs(2)[[0, 0, 1, 1]]
    found = exact_duplicates(exact_groups(look(pictures)), shown(4, labels=[-1, 5, 3, 4]))
    assert found.members == [(2, 3), (0, 1)]


def test_one_changed_value_makes_another_image() -> None:
    pictures = photographs(1)[[0, 0]]
    pictures[1, 3, 4, 2] += 1
    assert exact_duplicates(exact_groups(look(pictures)), shown(2)).members == []
    assert near(pictures) == [(0, 1)]


def test_encoded_and_brightened_copies_are_found_and_nothing_else() -> None:
    pictures = photographs(300)
    copies = np.stack([encoded(pictures[3], quality=50), brightened(pictures[10], 20), encoded(pictures[20])])
    assert sorted(near(np.concatenate([pictures, copies]))) == [(3, 300), (10, 301), (20, 302)]


def test_pairs_are_ordered_by_labels_then_leaks_then_likeness() -> None:
    pictures = photographs(40)
    copies = np.stack([brightened(pictures[0], 6), encoded(pictures[1], quality=30), encoded(pictures[2], quality=70)])
    images = shown(42, 1, [*range(40), 0, 7, 2])
    assert near(np.concatenate([pictures, copies]), images) == [(1, 41), (2, -1), (0, 40)]


def test_many_copies_of_one_image_are_all_paired() -> None:
    copies = [encoded(photographs(1)[0], quality=quality) for quality in (95, 80, 60, 40)]
    pictures = np.concatenate([photographs(20, seed=1), np.stack(copies)])
    assert sorted(near(pictures)) == [(one, two) for one in range(20, 24) for two in range(one + 1, 24)]


def test_of_equal_images_one_is_compared() -> None:
    pictures = photographs(30)[[*range(30), 4, 4]]
    pictures = np.concatenate([pictures, encoded(pictures[4])[None]])
    assert near(pictures) == [(4, 32)]


def test_constant_images_of_different_gray_are_no_pairs() -> None:
    levels = np.arange(10, 200, 10, dtype=np.uint8)
    flat = np.broadcast_to(levels[:, None, None, None], (19, 32, 32, 3))
    assert near(np.ascontiguousarray(flat)) == []
    faint = np.random.default_rng(0).integers(99, 103, (50, 32, 32, 1), dtype=np.uint8)
    assert near(faint) == []


def test_strokes_on_black_are_not_taken_for_copies_though_their_hashes_are_close() -> None:
    random = np.random.default_rng(0)
    pictures = np.zeros((400, 28, 28, 1), np.uint8)
    for picture in pictures:
        top, left, height = random.integers(4, 10), random.integers(8, 18), random.integers(8, 16)
        picture[top : top + height, left : left + 3] = 255
        picture[top + height : top + height + 2, left - random.integers(0, 4) : left + random.integers(4, 8)] = 255
    pairs = hashes.close_pairs(look(pictures).dhash, 4)
    assert pairs is not None
    assert len(pairs) > 1000
    found = near(pictures)
    assert len(found) < 40
    assert all((pictures[one] != pictures[two]).mean() < 0.02 for one, two in found)


def test_only_pairs_that_touch_test_images_are_listed_where_only_they_are_wanted() -> None:
    pictures = photographs(20)
    copies = np.stack([encoded(pictures[1]), encoded(pictures[2])])
    pictures = np.concatenate([pictures, copies])
    images = shown(21, 1)
    found = near_by_hash(look(pictures), of_each(pictures), images, touching=images.members < 0)
    assert found.kind == "near duplicates of test images"
    assert found.members == [(2, -1)]


def test_hashes_that_hardly_differ_are_said_to_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "close_pairs", lambda hashes, bits: None)
    found = near_by_hash(look(photographs(3)), np.arange(3), shown(3))
    assert found.members == []
    assert "not looked for" in found.remark


def test_features_far_closer_than_those_of_ordinary_neighbors_are_pairs() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 1, 8))
    features[50] = features[5] + 0.01
    features[51] = features[6] * 2.5  # of the same direction
    usable = np.ones(60, bool)
    usable[[7, 30]] = False  # what cannot be read, or is equal to another image
    places = np.flatnonzero(usable)
    unit = unit_features(features, usable)
    neighbors = nearest_neighbors(unit, usable, 10, queries=places)
    images = Shown(np.concatenate([np.delete(np.arange(60), 7), [-1]]), np.arange(60) % 10)
    found = near_by_features(neighbors, places, images)
    limit = 0.13 * np.median(1 - neighbors.similarity[:, 0])
    cosines = unit @ unit.T
    expected = np.argwhere(np.triu((1 - cosines < limit) & usable & usable[:, None], 1))
    assert sorted(found.members) == [tuple(pair) for pair in expected.tolist()]
    assert (5, 50) in found.members
    assert found.scores == pytest.approx([cosines[one, two] for one, two in found.members])
    assert f"below {limit:.3g}," in found.rule


def test_a_single_image_has_no_near_duplicates() -> None:
    usable = np.array([False, True])
    neighbors = nearest_neighbors(unit_features(np.ones((2, 1, 3)), usable), usable, 10, queries=np.array([1]))
    found = near_by_features(neighbors, np.array([1]), shown(2))
    assert found.members == []
