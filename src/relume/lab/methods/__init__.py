"""Training methods, one a file: modules that turn a batch into named, weighted losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from relume.errors import UsageError
from relume.lab.methods.base import Method
from relume.lab.methods.mirror import Mirror
from relume.lab.methods.multi_teacher import MultiTeacher
from relume.lab.methods.supervised import Supervised
from relume.lab.methods.zero_reference import ZeroReference

METHODS: Mapping[str, Callable[..., Method]] = {
    "mirror": Mirror,
    "multi-teacher": MultiTeacher,
    "supervised": Supervised,
    "zero-reference": ZeroReference,
}
"""Every method by the name that recipes use."""


def build_method(
    name: str, network: nn.Module, losses: Mapping[str, float], options: Mapping[str, Any]
) -> Method:
    """A method that trains a network by weighted losses.

    Raises:
        UsageError: no method of that name, or options it does not have.
    """
    if name not in METHODS:
        raise UsageError(f"no method is called '{name}'", f"Choose one of: {', '.join(sorted(METHODS))}.")
    try:
        return METHODS[name](network, losses, **options)
    except TypeError as error:
        raise UsageError(
            f"method '{name}' does not take these method_options: {error}", "See its docstring."
        ) from error
