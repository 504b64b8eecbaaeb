"""What a command that works on photos does first, as the process is relume's own."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from relume.errors import OutOfResources

_LEAST_MEMORY = 550 << 20
"""Bytes of address space below which libraries end the process in words of their own, or none."""


def prepare(threads: int = 0) -> None:
    """Refuse a limit of memory that no photo fits in, and set libvips' limits, where it is installed.

    Args:
        threads: as for `relume.photo.vips.set_limits`.

    Raises:
        OutOfResources: the limit is too low.
    """
    _check_memory()
    if find_spec("pyvips") is not None:
        from relume.photo.vips import set_limits

        set_limits(threads)


def _check_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        raise OutOfResources(
            f"this process may take {limit >> 20} MiB of memory, and needs 700 for a small photo",
            "Raise the limit (ulimit -v).",
        )
