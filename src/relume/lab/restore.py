"""A model becomes a run again: its weights are read back from the graphs, and can be trained further.

Graphs hold a network's parameters by their names. BatchNorm alone is gone from them, since it was folded into
the convolution before it; the export tells beside them what its statistics were, as the folded convolution
gives them, so that the restored network also computes the same while it is being trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from relume.errors import ModelError, RelumeError
from relume.lab.export import PARITY, STATISTICS, difference, folded
from relume.lab.networks import build
from relume.lab.recipe import from_json
from relume.lab.run import Run
from relume.models import load_card, load_graph


def write_restored(model: str, out: Path) -> None:
    """Leave an exported model as the run folder that it was exported from, without its metrics.

    Weights are in half precision, as the graphs hold them. Of a model that was exported without statistics of
    BatchNorm, these begin at 0 and 1, which the first steps of training replace.

    Args:
        model: name of a shipped model, or the file of a card.
        out: a folder that holds no run yet.

    Raises:
        ModelError: no such model, its card holds no recipe of this version, or its graphs do not tell all
            weights of that recipe's network or do not compute the same.
        UsageError: `out` holds a run.
        OutputUnwritable: no permission, no space.
    """
    target = Run(out)
    target.check_new()
    card = load_card(model)
    try:
        recipe = from_json(json.dumps(card.recipe))
        network = build(recipe.network, recipe.network_options).eval()
    except RelumeError as error:
        reason = f"its card tells no recipe of a network of this version ({error.reason})"
        raise ModelError(reason, "Export the run again.", path=model) from error
    names = {"" if part == "image" else f".{part}": name for part, name in card.graphs.items()}
    graphs = {part: load_graph(model, card, name) for part, name in names.items()}
    try:
        fill(network, [onnx.load_from_string(graph) for graph in graphs.values()])
    except (ValueError, TypeError, LookupError, RuntimeError, DecodeError) as error:
        raise ModelError("its graphs are damaged", "Export the run again.", path=model) from error
    if not (strayed := difference(network, graphs, (64, 64))) <= PARITY:
        raise ModelError(
            f"the recipe's network differs from the graphs by up to {strayed:.4f}",
            "They were exported by another version of relume, or the recipe was changed.",
            path=model,
        )
    target.finish(recipe, {**card.environment, "restored_from": card.name}, network)


@torch.no_grad()
def fill(network: nn.Module, graphs: list[onnx.ModelProto]) -> None:
    """Give a network the weights that exported graphs hold; whether it then computes the same is not checked.

    Raises:
        ModelError: they tell less than all.
    """
    state = network.state_dict()
    # Equal constants are held once, under one name: those are biases that are 0.
    told = {name: torch.zeros_like(value) for name, value in state.items() if name.endswith(".bias")}
    statistics: dict[str, dict[str, list[float]]] = {}
    for graph in graphs:
        for each in graph.graph.initializer:
            if each.data_location == TensorProto.EXTERNAL:  # a file of the stranger's choice
                continue
            told[each.name.removesuffix(".half")] = torch.from_numpy(numpy_helper.to_array(each).copy())
        facts = {fact.key: fact.value for fact in graph.metadata_props}
        statistics |= json.loads(facts.get(STATISTICS, "{}"))
    for convolution, norm, module in folded(network):
        known = statistics.get(norm, {"mean": [0.0], "variance": [1.0]})
        mean, variance = (
            torch.tensor(known[key]).expand(module.num_features) for key in ("mean", "variance")
        )
        own = f"{convolution}.bias"
        bias = told.get(f"{convolution}.weight_bias", None if own in state else told.get(own))
        if bias is not None:
            told |= {
                f"{norm}.weight": (variance + module.eps).sqrt(),
                f"{norm}.bias": bias + mean,
                f"{norm}.running_mean": mean,
                f"{norm}.running_var": variance,
            }
    counts = {name for name in state if name.endswith(".num_batches_tracked")}
    missing = [name for name, value in state.items() if name not in counts and not _tells(told, name, value)]
    if missing:
        raise ModelError(
            f"its graphs do not tell {len(missing)} of the network's weights, such as {missing[0]}",
            "Keep the run of such a model.",
        )
    network.load_state_dict({name: told.get(name, value) for name, value in state.items()})


def _tells(told: Mapping[str, Tensor], name: str, value: Tensor) -> bool:
    return name in told and told[name].shape == value.shape
