"""Training methods, one a file: modules that turn a batch into named, weighted losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
