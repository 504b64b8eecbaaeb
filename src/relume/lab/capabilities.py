"""What every network of the laboratory says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Capabilities:
    """What a network takes and offers beyond an image in and an image out.

    Attributes:
        overview: long side of the thumbnail of its surroundings that it takes beside an image; 0 for none.
        multiple: it repeats or reflects images up to multiples of so many pixels.
        maps: channels of its decoder's maps, coarsest first, for networks with `encode`, `decode` and
            `render`.
        features: channels of what its `features` and `output_and_features` return, early ones first.
        fusion: the group, from 1, after which it takes a teacher's features; 0 for none.
        curves: whether it brightens by `curves` and `apply_curves`.
        brightens: whether its encoding has the image after an exposure curve, `bright_BCHW`.
        integers: names of the convolutions that its exported graph of 8 bits computes in integers.
    """

    overview: int = 0
    multiple: int = 1
    maps: tuple[int, ...] = ()
    features: tuple[int, ...] = ()
    fusion: int = 0
    curves: bool = False
    brightens: bool = False
    integers: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[int, ...]:
        """Channels of what distillation compares: the features, or else the decoder's maps."""
        return self.features or self.maps


class Network(nn.Module):
    """A network with capabilities; those of the class serve every network that says nothing else."""

    capabilities = Capabilities()


def capabilities(network: nn.Module) -> Capabilities:
    """Those of a network, or none of a module from elsewhere."""
    return network.capabilities if isinstance(network, Network) else Capabilities()
