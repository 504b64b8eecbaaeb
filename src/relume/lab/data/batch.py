"""What a training method sees of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.capabilities import capabilities
from relume.lab.darkness import Degradation
from relume.steps.thumbnail import overview_shape


@dataclass(frozen=True)
class Batch:
    """Matching dark and well-lit images in [0, 1], and what the surroundings of each look like.

    Attributes:
        low_BCHW, high_BCHW: matching crops.
        thumbnail_BCST: area average of the dark region around each crop, in the region's aspect; None where
            the images are whole photos, or where no network asks for it.
        window_B4: top, bottom, left and right edge of each crop, as shares of the region that its thumbnail
            shows, float32; None without thumbnails.
        names: of the images that the crops are from.
        degradations: what made each of them dark, None for photographed ones.
    """

    low_BCHW: Tensor
    high_BCHW: Tensor
    thumbnail_BCST: Tensor | None = None
    window_B4: Tensor | None = None
    names: tuple[str, ...] = ()
    degradations: tuple[Degradation | None, ...] = ()

    def inputs(self, network: nn.Module) -> tuple[Tensor, ...]:
        """What a network takes: the dark crop, and its thumbnail and window where the network looks at them.

        A network with an `overview` among its capabilities gets thumbnails of that long side.

        Raises:
            UsageError: the thumbnails are smaller than the network's.
        """
        size = capabilities(network).overview
        if not size or self.thumbnail_BCST is None:
            return (self.low_BCHW,)
        rows, columns = self.thumbnail_BCST.shape[-2:]
        wanted = overview_shape(rows, columns, size)
        if rows < wanted[0] or columns < wanted[1]:
            raise UsageError(
                f"the thumbnails have {columns} x {rows} pixels, the network takes {wanted[1]} x {wanted[0]}",
                "Make the batches with the largest overview of all networks.",
            )
        small = self.thumbnail_BCST
        if wanted != (rows, columns):
            small = F.adaptive_avg_pool2d(small, wanted)
        placed = () if self.window_B4 is None else (self.window_B4,)
        return (self.low_BCHW, small, *placed)

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Its images and windows, in the order of the fields."""
        return self.low_BCHW, self.high_BCHW, self.thumbnail_BCST, self.window_B4

    def to(self, device: torch.device) -> Batch:
        """The same on another device, in float32."""
        low, high, small, window = (None if x is None else x.to(device).float() for x in self.tensors())
        assert low is not None and high is not None  # noqa: S101, PT018
        return replace(self, low_BCHW=low, high_BCHW=high, thumbnail_BCST=small, window_B4=window)


@dataclass(frozen=True)
class Parcel:
    """A batch as it travels from the process that made it: all values in one tensor.

    Each tensor that travels costs a conversation between the processes, for which the maker interrupts its
    work: several milliseconds. In float16, values in [0, 1] are a tenth of a level of 8 bits off at most.

    Attributes:
        values_N: all of the batch's tensors one after another, in float16.
        shapes: of each of them, None for one that is not there.
        names, degradations: see `Batch`.
    """

    values_N: Tensor
    shapes: tuple[torch.Size | None, ...]
    names: tuple[str, ...]
    degradations: tuple[Degradation | None, ...]

    @classmethod
    def of(cls, batch: Batch) -> Parcel:
        """Pack a batch."""
        tensors = batch.tensors()
        values_N = torch.cat([x.half().flatten() for x in tensors if x is not None])
        shapes = tuple(None if x is None else x.shape for x in tensors)
        return cls(values_N, shapes, batch.names, batch.degradations)

    def pin_memory(self) -> Parcel:
        """The same in page-locked memory, from which a GPU copies without waiting."""
        return replace(self, values_N=self.values_N.pin_memory())

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, in float32."""
        values_N = self.values_N.to(device, non_blocking=True).float()
        parts = iter(values_N.split([shape.numel() for shape in self.shapes if shape is not None]))
        tensors = (None if shape is None else next(parts).view(shape) for shape in self.shapes)
        low, high, small, window = tensors
        assert low is not None and high is not None  # noqa: S101, PT018
        return Batch(low, high, small, window, self.names, self.degradations)
