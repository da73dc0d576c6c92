"""A map has each sample once, and its suspects ringed."""

import io

import numpy as np

from noisy_lightning.figures.embedding import embedding_map


def test_classes_differ_in_color_or_shape_and_suspects_are_counted() -> None:
    points = np.arange(60, dtype=np.float32).reshape(30, 2)
    points[0] = np.nan
    figure = embedding_map(points, np.arange(30) % 10, np.arange(30) < 4, [f"c{k}" for k in range(10)], "t", ("x", "y"))
    (axes,) = figure.axes
    *classes, rings = axes.collections
    assert [len(np.asarray(one.get_offsets())) for one in classes] == [2, *[3] * 9]
    np.testing.assert_array_equal(np.asarray(rings.get_offsets()), points[1:4])
    looks = {(one.get_facecolor().tobytes(), one.get_paths()[0].vertices.tobytes()) for one in classes}  # type: ignore[union-attr]
    assert len(looks) == 10
    assert axes.get_title(loc="left") == "Colors and shapes: given labels; 3 suspects of 29 ringed"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"c{k}" for k in range(10)]


def test_a_map_of_many_samples_and_classes_is_a_small_file_without_a_legend() -> None:
    points = np.random.default_rng(0).normal(size=(50_000, 2)).astype(np.float32)
    figure = embedding_map(points, np.arange(50_000) % 100, np.zeros(50_000, bool), [str(k) for k in range(100)])
    assert not figure.legends
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf")
    assert buffer.tell() < 1_000_000
