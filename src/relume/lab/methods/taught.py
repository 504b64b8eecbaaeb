"""What methods with frozen teachers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from relume.lab.methods.base import Method
from relume.lab.teachers import Teacher


class Taught(Method):
    """A method with teachers, which are neither trained nor kept in checkpoints.

    Attributes:
        teachers: by name; a dictionary hides them from optimisers and checkpoints.
    """

    teachers: dict[str, Teacher]

    def __init__(self) -> None:
        super().__init__()
        self.teachers = {}

    def frozen(self) -> Iterable[nn.Module]:
        """All modules that nobody trains, and that move where the method moves."""
        return self.teachers.values()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Taught:
        for module in self.frozen():
            module._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @property
    def overview_size(self) -> int:
        return max([super().overview_size, *(teacher.overview_size for teacher in self.teachers.values())])
