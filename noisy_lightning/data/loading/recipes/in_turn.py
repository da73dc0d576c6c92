"""Recipes as a data set is given them: one, several in turn, or any function of an image."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.loading.recipes.per_image import PerImage
from noisy_lightning.errors import InputError

Recipes = Recipe | list[Recipe] | None
"""What `data.augmentation` takes; in Python a function of one image, too."""


class _InTurn(Recipe):
    """Several recipes, one after the other."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self.recipes = recipes
        self.crops, self.flips = all(one.crops for one in recipes), all(one.flips for one in recipes)
        self.zooms = any(one.zooms for one in recipes)

    @property
    def draws(self) -> int:
        return sum(one.draws for one in self.recipes)

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        parts = torch.split(draws, [one.draws for one in self.recipes], 1)
        for recipe, drawn in zip(self.recipes, parts, strict=True):
            images = recipe(images, drawn, mean, size)
        return images


def recipe_of(given: Recipes | Callable[[Any], Any], usual: Recipe, key: str) -> Recipe:
    """Return the recipe that a data set is given.

    Args:
        given: A recipe, a list of such, which follow each other, or what can be called with one image; see `PerImage`.
        usual: What stands for None.
        key: Where it stands, for messages.

    Raises:
        InputError: It is none of these.
    """
    if given is None:
        return usual
    if isinstance(given, list) and given:
        return _InTurn([recipe_of(one, usual, key) for one in given])
    if isinstance(given, Recipe):
        return given
    if isinstance(given, type) or not callable(given):
        raise InputError(f"data.{key} must be a recipe of augmentation, or several, got {given!r}")
    return PerImage(given)  # type: ignore[arg-type]  # what a configuration can name is a module
