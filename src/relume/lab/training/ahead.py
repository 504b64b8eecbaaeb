"""The next batch is prepared while the current one is learnt from."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from relume.lab.data.batch import Batch
from relume.lab.data.draws import Plan
from relume.lab.data.paired import PairedCrops
from relume.lab.recipe import Phase


class Ahead:
    """Batches by number, as `PairedCrops` makes them; the one after each is begun at once, by a thread.

    On a CPU the thread cuts the whole batch. Another device cuts batches between its steps anyway: there the
    thread makes the plan alone, and nothing but the caller talks to the device.

    Args:
        data: what makes the batches.
    """

    def __init__(self, data: PairedCrops) -> None:
        self.data = data
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Phase, Future[Batch | Plan]] | None = None

    def batch(self, index: int, phase: Phase) -> Batch:
        """The batch with that number.

        Raises:
            DataError: as `PairedCrops.batch`.
        """
        ready = self._next
        if ready is not None and ready[:2] == (index, phase):
            made = ready[2].result()
        else:
            # By the thread too: draws remember the pass they are in.
            made = self._pool.submit(self._make, index, phase).result()
        self._next = (index + 1, phase, self._pool.submit(self._make, index + 1, phase))
        return self.data.cut(made) if isinstance(made, Plan) else made

    def close(self) -> None:
        """Let the thread end."""
        self._pool.shutdown(cancel_futures=True)

    def _make(self, index: int, phase: Phase) -> Batch | Plan:
        if self.data.device.type == "cpu":
            return self.data.batch(index, phase)
        return self.data.draws.plan(index, phase)
