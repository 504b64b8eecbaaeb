"""Does enhancement help whoever reads the picture? Items, a reader, a score with its interval."""

from relume.evaluate.tasks.protocol import Item, Measured, Task, run_task
from relume.evaluate.tasks.readers import TASKS, make_task

__all__ = ["TASKS", "Item", "Measured", "Task", "make_task", "run_task"]
