"""Recipes: functions that return a whole, typed recipe. Every published result has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from relume.errors import UsageError
from relume.files import read_text
from relume.lab.recipe import Recipe, from_json, override
from relume.lab.recipes.compact_clarity import compact_clarity, compact_clarity_cpu, mirnet_v2
from relume.lab.recipes.iaml import iaml, iaml_cpu
from relume.lab.recipes.lol import lol, lol_mirror
from relume.lab.recipes.photo import (
    photo,
    photo_best,
    photo_lit,
    photo_nights,
    photo_pruned,
    photo_rendered,
    photo_settled,
)
from relume.lab.recipes.taught import lol_ensemble, lol_self
from relume.lab.recipes.zero_dce import zero_dce

RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "compact-clarity": compact_clarity,
    "compact-clarity-cpu": compact_clarity_cpu,
    "iaml": iaml,
    "iaml-cpu": iaml_cpu,
    "lol": lol,
    "lol-ensemble": lol_ensemble,
    "lol-mirror": lol_mirror,
    "lol-self": lol_self,
    "mirnet-v2": mirnet_v2,
    "photo": photo,
    "photo-best": photo_best,
    "photo-lit": photo_lit,
    "photo-nights": photo_nights,
    "photo-pruned": photo_pruned,
    "photo-rendered": photo_rendered,
    "photo-settled": photo_settled,
    "zero-dce": zero_dce,
}


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        UsageError: no recipe of that name.
    """
    if name not in RECIPES:
        raise UsageError(f"no recipe is called '{name}'", f"Choose one of: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]()


def find_recipe(name: str, changes: Iterable[str] = ()) -> Recipe:
    """A recipe by name, or from a file whose name ends in `.json`, with changes as for `override`.

    Raises:
        UsageError: no recipe of that name, a damaged one, or a change that it does not take.
        InputUnreadable: the file cannot be read.
    """
    recipe = from_json(read_text(Path(name))) if name.endswith(".json") else get_recipe(name)
    return override(recipe, changes)
