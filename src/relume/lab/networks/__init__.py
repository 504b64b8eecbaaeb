"""The laboratory's networks, one per file, and the registry that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch._subclasses import FakeTensorMode

from relume.errors import ModelError
from relume.lab.networks.autoencoder import Autoencoder
from relume.lab.networks.compact_clarity import CompactClarity
from relume.lab.networks.mirnet_v2 import MIRNetV2
from relume.lab.networks.patchgan import PatchGAN
from relume.lab.networks.two_pass import TwoPass
from relume.lab.networks.zero_dce import ZeroDCE
from relume.lab.options import checked_options

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "compact-clarity": CompactClarity,
    "iaml-autoencoder": Autoencoder,
    "mirnet-v2": MIRNetV2,
    "patchgan": PatchGAN,
    "two-pass": TwoPass,
    "zero-dce": ZeroDCE,
}
"""Every network of the laboratory by name; explicit: no module registers itself when it is imported."""


def build(name: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a network with freshly initialised weights.

    Raises:
        ModelError: no network of that name, or options that it does not have, of another type, or that do not
            fit together.
    """
    if name not in NETWORKS:
        raise ModelError(f"no network is called '{name}'", f"Choose one of: {', '.join(sorted(NETWORKS))}.")
    chosen = checked_options(NETWORKS[name], options or {}, f"options of network '{name}'", error=ModelError)
    try:
        return NETWORKS[name](**chosen)
    except (TypeError, ValueError, IndexError, ArithmeticError, RuntimeError) as error:
        raise ModelError(
            f"network '{name}' cannot be built with these options ({error})", "See its docstring."
        ) from error


def describe_networks() -> list[dict[str, Any]]:
    """Name, parameters, GMACs at 256 x 256 and summary of every network in its default configuration."""
    from relume.lab.networks.cost import count_macs, count_parameters

    rows: list[dict[str, Any]] = []
    for name in NETWORKS:
        with FakeTensorMode():  # shapes are enough to count
            network = build(name).requires_grad_(False)
            macs = count_macs(network, 256)
        rows.append(
            {
                "name": name,
                "params": count_parameters(network),
                "gmacs_256": round(macs / 1e9, 3),
                "summary": (type(network).__doc__ or "").strip().splitlines()[0],
            }
        )
    return rows
