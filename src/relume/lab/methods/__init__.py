"""Training methods, one per file: modules that turn a batch into named, weighted losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from relume.errors import UsageError
from relume.lab.losses import check_losses
from relume.lab.methods.base import Method
from relume.lab.methods.decisions import Decisions
from relume.lab.methods.mirror import Mirror
from relume.lab.methods.multi_teacher import MultiTeacher
from relume.lab.methods.rendering import Rendering
from relume.lab.methods.supervised import Supervised
from relume.lab.methods.unsupervised import Unsupervised
from relume.lab.methods.zero_reference import ZeroReference
from relume.lab.options import checked_options

METHODS: Mapping[str, Callable[..., Method]] = {
    "decisions": Decisions,
    "mirror": Mirror,
    "multi-teacher": MultiTeacher,
    "rendering": Rendering,
    "supervised": Supervised,
    "unsupervised": Unsupervised,
    "zero-reference": ZeroReference,
}
"""Every method by the name that recipes use."""

_GIVEN = ("network", "losses")


def build_method(
    name: str, network: nn.Module, losses: Mapping[str, float], options: Mapping[str, Any]
) -> Method:
    """A method that trains a network by weighted losses.

    Raises:
        UsageError: no method or loss of that name, or options that it does not have or of another type.
    """
    if name not in METHODS:
        raise UsageError(f"no method is called '{name}'", f"Choose one of: {', '.join(sorted(METHODS))}.")
    what = f"method_options of method '{name}'"
    chosen = checked_options(METHODS[name], options, what, _GIVEN)
    method = METHODS[name](network, losses, **chosen)
    check_losses(method.paired_weights, method.paired_terms)
    return method
