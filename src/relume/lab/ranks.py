"""Processes that train together: each has a share of every batch, and all learn what one would of the whole.

Nothing here does anything in a process that trains alone. The processes are started by torchrun, or by
`relume.lab.training.together`.

Gradients of a mean over the batch are means over the ranks. What is no such mean is computed over the whole
batch: statistics of BatchNorm, and losses that compare images with one another. What is drawn at random while
computing is drawn for the whole batch by every rank, from one state. So a run follows that of one process up
to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn import functional as F

from relume.errors import UsageError
from relume.threads import share as share_of_threads


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def own_threads() -> int:
    """Threads of this process: its share of the machine where torchrun has started others on it."""
    return share_of_threads(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def leads() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def share_of(batch: int) -> range:
    """Positions of a whole batch that are this rank's.

    Raises:
        UsageError: the batch cannot be divided.
    """
    ranks = count()
    if batch % ranks:
        raise UsageError(
            f"a batch of {batch} cannot be divided among {ranks} processes",
            "Change phases.N.batch, or the number of processes.",
        )
    own = batch // ranks
    return range(own * rank(), own * (rank() + 1))


@contextmanager
def first_alone() -> Iterator[None]:
    """The leading rank comes first, the others when it is done: they find the files that it has written."""
    if count() > 1 and not leads():
        distributed.barrier()
    yield
    if count() > 1 and leads():
        distributed.barrier()


def meet() -> None:
    """Wait for all ranks."""
    if count() > 1:
        distributed.barrier()


def agreed(asked: bool) -> bool:
    """Whether any rank is asked."""
    if count() == 1:
        return asked
    flag = _on_device(torch.tensor(float(asked)))
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag)


def told(value: Any) -> Any:
    """What the leading rank has for all."""
    if count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box)
    return box[0]


@torch.no_grad()
def mean(values: Tensor) -> Tensor:
    """The mean of the ranks' values."""
    if count() == 1:
        return values
    values = _on_device(values.clone())
    distributed.all_reduce(values)
    return values / count()


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each rank the mean of all gradients."""
    gradients = [each.grad for each in parameters if each.grad is not None] if count() > 1 else []
    if not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= count()
    for gradient, part in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def align(module: nn.Module) -> None:
    """Give each rank the leading one's weights and buffers."""
    if count() > 1:
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)


class _Total(Function):
    """The sum over the ranks; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Total.forward(ctx, gradient)


def total(values: Tensor) -> Tensor:
    """The sum over the ranks, through which gradients reach all of them."""
    if count() == 1:
        return values
    summed: Tensor = _Total.apply(values)  # pyright: ignore[reportAssignmentType]
    return summed


def gathered(values_B: Tensor) -> Tensor:
    """The whole batch's values, in its order, through which gradients reach all ranks.

    Args:
        values_B: of this rank's share, one per image along the first axis.
    """
    if count() == 1:
        return values_B
    own = len(values_B)
    before, after = own * rank(), own * (count() - rank() - 1)
    padding = [0, 0] * (values_B.ndim - 1) + [before, after]
    return total(F.pad(values_B, padding))


def drawn_for_all(like_B: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) for this rank's share, drawn for the whole batch."""
    own = len(like_B)
    numbers = torch.rand(own * count(), *like_B.shape[1:], device=like_B.device)
    return numbers[own * rank() : own * (rank() + 1)]


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm by the statistics of the whole batch; PyTorch's own is for GPUs alone.

    It runs in float32, and is `nn.BatchNorm2d` where it normalises by running statistics.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training or count() == 1:
            return super().forward(input)
        x_BCHW, axes = input.float(), (0, 2, 3)
        size = count() * x_BCHW.numel() // x_BCHW.shape[1]
        mean_C = total(x_BCHW.sum(axes)) / size
        centred_BCHW = x_BCHW - mean_C[:, None, None]
        variance_C = total(centred_BCHW.square().sum(axes)) / size
        if self.track_running_stats:
            self._count_in(mean_C.detach(), variance_C.detach() * (size / max(1, size - 1)))
        normal_BCHW = centred_BCHW * (variance_C + self.eps).rsqrt()[:, None, None]
        return (normal_BCHW * self.weight[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _count_in(self, mean_C: Tensor, variance_C: Tensor) -> None:
        """Let the running statistics follow."""
        assert self.running_mean is not None and self.running_var is not None  # noqa: S101, PT018
        assert self.num_batches_tracked is not None  # noqa: S101
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean_C, share)
        self.running_var.lerp_(variance_C, share)


class SharedDropout(nn.Dropout):
    """Dropout that is drawn for the whole batch."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training or count() == 1:
            return super().forward(input)
        own = len(input)
        kept = F.dropout(input.new_ones(own * count(), *input.shape[1:]), self.p)
        return input * kept[own * rank() : own * (rank() + 1)]


_SHARED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: SharedBatchNorm2d,
    nn.Dropout: SharedDropout,
}


def share(module: nn.Module) -> None:
    """Make all that looks at a batch as a whole, or draws for it, do so across ranks.

    Raises:
        UsageError: there is something that cannot.
    """
    if count() == 1:
        return
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            found = _SHARED.get(type(each))
            if found is None:
                raise UsageError(
                    f"{type(each).__name__} does not work across processes", "Train in one process."
                )
            each.__class__ = found  # pyright: ignore[reportAttributeAccessIssue]  # the parameters stay those that others know


def _on_device(values: Tensor) -> Tensor:
    """Where the processes exchange what they have."""
    on_gpu = count() > 1 and distributed.get_backend() == "nccl"
    return values.cuda() if on_gpu else values
