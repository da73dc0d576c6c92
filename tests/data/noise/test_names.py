"""The names of the package `noise`: found late, typed, and written to configurations as they always were."""

import inspect

import pytest
from jsonargparse import ArgumentParser

from noisy_lightning import data
from noisy_lightning.data import LabelNoise, noise


@pytest.mark.parametrize("name", noise.__all__)
def test_a_name_is_the_class_of_the_data_package(name: str) -> None:
    assert getattr(noise, name) is getattr(data, name)
    assert name in dir(noise)


@pytest.mark.parametrize("name", noise.__all__)
def test_a_configuration_keeps_the_path_of_a_class(name: str) -> None:
    """Another path would be another run."""
    parser = ArgumentParser()
    parser.add_argument("--kind", type=type[object])
    written = parser.dump(parser.parse_object({"kind": getattr(noise, name)}))
    assert written == f"kind: noisy_lightning.data.{name}\n"


def test_every_kind_of_noise_is_named() -> None:
    kinds = {name for name in data.__all__ if issubclass(getattr(data, name), LabelNoise)}
    assert kinds | {"TrainedScores"} == set(noise.__all__)


def test_a_noise_is_made_by_its_name() -> None:
    symmetric: data.Symmetric = noise.Symmetric(0.4)
    assert symmetric.rate == 0.4
    assert inspect.ismodule(noise.label_file), "modules of the package stay within reach"


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Symetric'"):
        noise.Symetric  # noqa: B018
