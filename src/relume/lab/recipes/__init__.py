"""Recipes: functions that return a whole, typed recipe. Every published result has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relume.errors import UsageError
from relume.lab.recipe import Recipe
from relume.lab.recipes.compact_clarity import compact_clarity, compact_clarity_cpu, mirnet_v2
from relume.lab.recipes.iaml import iaml, iaml_cpu
from relume.lab.recipes.lol import lol, lol_mirror
from relume.lab.recipes.photo import photo
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
