"""Trained weights -> the graphs and the card that the product ships."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from relume.arrays import Floats
from relume.errors import DataError, ModelError, UsageError
from relume.files import check_folder, make_folder, write_file
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.networks.two_pass import Decision, TwoPass, place, step
from relume.lab.run import Run, load_run
from relume.lab.tracing import SIZES, trace
from relume.models import Card, graph_names
from relume.models.card import SCHEMA
from relume.models.engines import Engine, OnnxEngine
from relume.steps.thumbnail import overview_shape, thumbnail

PARITY = 1 / 255
"""Largest difference between graphs and network, whose weights are not rounded to half precision."""

STATISTICS = "relume.statistics"
"""Key of a graph's property that keeps `statistics_of` its network."""

_CHECKED_SIZES = ((64, 64), (75, 130))
_TEXTS = ("summary", "data", "terms", "limits", "licence")


def export_run(run: Path, name: str, folder: Path, about: Mapping[str, Any]) -> Card:
    """Export a finished run as a model: its ONNX graphs with half-precision weights, and the card.

    Args:
        run: run folder with the weights.
        name: name of the model.
        folder: where the files go.
        about: what only people know: `summary`, `data`, `terms`, `licence`, `limits`, `metrics`; other keys
            are left out, so that an earlier card serves. Its `metrics` count only where its graphs were the
            same.

    Raises:
        DataError: `about` holds something else than texts and a table of metrics.
        ModelError: no finished run, or graphs that do not say what the network says.
        OutputUnwritable: the folder cannot be made or written into.
        UsageError: a name that is not a plain file name.
    """
    _check(name, about)
    recipe, network = load_run(run)
    check_folder(folder)  # before the graphs are made, which takes a while
    two_passes = isinstance(network, TwoPass)
    names = graph_names(name, two_passes)
    tiling = _tiling(network)
    facts = {
        "schema": SCHEMA,
        "name": name,
        "network": recipe.network,
        **tiling,
        "value_range": [0, 1],
        "licence": about.get("licence", ""),
    }
    exported, strayed = _measured_graphs(network)
    parts = {part.removeprefix(".") or "image": graph for part, graph in exported.items()}
    lost = {"statistics": statistics} if (statistics := statistics_of(network)) else {}
    graphs = {
        names[part]: _stamped(graph, {"graph": part, **facts, **(lost if part != "local" else {})})
        for part, graph in parts.items()
    }
    files = {file_name: hashlib.sha256(graph).hexdigest() for file_name, graph in graphs.items()}
    told = [*_TEXTS, *(["metrics"] if about.get("files", files) == files else [])]
    card = Card(
        name=name,
        network=recipe.network,
        params=count_parameters(network),
        gmacs_256=round(count_macs(network, 256) / 1e9, 3),
        **tiling,
        files=files,
        graphs=names,
        variants=[
            {
                "engine": "onnxruntime",
                "precision": "float32, weights stored as float16",
                "graphs": names,
                "largest_difference": round(strayed, 6),
            }
        ],
        recipe=json.loads(Run(run).recipe_file.read_text()),
        environment=Run(run).environment(),
        **{"summary": "", **{key: about[key] for key in told if key in about}},
    )
    make_folder(folder)
    for file_name, graph in graphs.items():
        write_file(folder / file_name, graph)
    write_file(folder / f"{name}.json", json.dumps(asdict(card), indent=2) + "\n")
    return card


def _check(name: str, about: object) -> None:
    """Refuse what would fail only after the graphs are made."""
    if not name or name.startswith(".") or {"/", "\\"} & set(name):
        raise UsageError(
            f"'{name}' is not a name for a model", "Give one without slashes or a dot before it."
        )
    if not isinstance(about, Mapping):
        raise DataError("what is told about the model is not a table", "Give a JSON object.")
    wrong = [key for key in _TEXTS if not isinstance(about.get(key, ""), str)]
    wrong += [] if isinstance(about.get("metrics", {}), Mapping) else ["metrics"]
    if wrong:
        raise DataError(
            f"what is told about the model has no sensible {', '.join(wrong)}",
            f"Give texts for {', '.join(_TEXTS)}, and a table of metrics.",
        )


def _tiling(network: nn.Module) -> dict[str, Any]:
    """How a photo may be cut for a network, as the card says it."""
    if isinstance(network, TwoPass):
        local = network.local_pass
        return {
            "thumbnail_size": network.overview_size,
            "size_multiple": local.size_multiple,
            "halo": local.halo,
        }
    return {"thumbnail_size": None, "size_multiple": 1, "halo": None}


@torch.no_grad()
def statistics_of(network: nn.Module) -> dict[str, Any]:
    """Mean and variance that the graphs lose, by the name of each BatchNorm: of what the convolution gives
    that it is folded into."""
    told: dict[str, Any] = {}
    for _, name, norm in folded(network):
        scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
        values = {"mean": norm.running_mean * scale, "variance": norm.running_var * scale.square()}
        told[name] = {
            key: [float(f"{number:.6g}") for number in value.tolist()] for key, value in values.items()
        }
    return told


def folded(network: nn.Module) -> Iterator[tuple[str, str, Any]]:
    """Names of a convolution and of the BatchNorm behind it, and that."""
    convolution = ""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            convolution = name
        elif isinstance(module, nn.BatchNorm2d):
            yield convolution, name, module


def export_graphs(network: nn.Module) -> dict[str, bytes]:
    """The serialised graphs for any height and width, by what their file names add to the model's name.

    Two passes become `.global` and `.local`; any other network is one graph, whose name adds nothing.

    Raises:
        ModelError: the graphs, run, differ from the network by more than half-precision weights explain.
    """
    return _measured_graphs(network)[0]


def _measured_graphs(network: nn.Module) -> tuple[dict[str, bytes], float]:
    """The graphs, and by how much an image of theirs differs from one of the network's."""
    graphs = _graphs(network.eval().cpu())
    strayed = max(difference(network, graphs, size) for size in _CHECKED_SIZES)
    if not strayed <= PARITY:
        raise ModelError(
            f"the exported graphs differ from the network by up to {strayed:.4f}",
            "Check that its weights are finite and within the range of half precision.",
        )
    return graphs, strayed


@torch.inference_mode()
def difference(network: nn.Module, graphs: Mapping[str, bytes], size: tuple[int, int]) -> float:
    """Largest difference between what graphs and network make of a dark random image of some size."""
    image = dark_image(size)
    engines = {part: OnnxEngine(graph, device="cpu") for part, graph in graphs.items()}
    outputs = run_graphs(engines, network, image)
    return (torch.from_numpy(outputs["enhanced"]) - network(image)).abs().max().item()


def dark_image(size: tuple[int, int]) -> torch.Tensor:
    """A dark random image of this height and width, 1 x 3 x H x W; always the same."""
    return 0.3 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))


def run_graphs(
    engines: Mapping[str, Engine], network: nn.Module, image_BCHW: torch.Tensor
) -> dict[str, Floats]:
    """What the graphs of `export_graphs`, each in an engine, make of a whole image."""
    image = image_BCHW.numpy()
    if not isinstance(network, TwoPass):
        return engines[""].run(image=image)
    height, width = image_BCHW.shape[-2:]
    shape = overview_shape(height, width, network.overview_size)
    told = engines[".global"].run(thumbnail=thumbnail(image_BCHW, shape).numpy())
    where = {"place": place(image_BCHW, None).numpy(), "step": step(image_BCHW).numpy()}
    return engines[".local"].run(image=image, **where, **told)


def _graphs(network: nn.Module) -> dict[str, bytes]:
    return {part: _halved(trace(*told)) for part, told in traceable(network).items()}


Traceable = tuple[nn.Module, dict[str, torch.Tensor], list[str], dict[str, Any]]


def traceable(network: nn.Module) -> dict[str, Traceable]:
    """What `trace` takes of each pass, by what its file's name adds to the model's."""
    network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    image = torch.rand(1, 3, 70, 90)
    if not isinstance(network, TwoPass):
        return {"": (network, {"image": image}, ["enhanced"], {"image": SIZES})}
    network = cast(TwoPass, without_norms(network))
    overview = torch.rand(1, 3, *overview_shape(70, 90, network.overview_size))
    decision = network.global_pass.both_ways(overview)
    told = {name.partition("_")[0]: array.detach() for name, array in decision._asdict().items()}
    has_cells = SIZES if decision.grid_BKGG.shape[-1] > 1 else None
    alone = dict.fromkeys(("gain", "condition", "place", "step"))
    where = {"place": place(image, None), "step": step(image)}
    sizes = {"image": SIZES, "grid": has_cells, **alone}
    return {
        ".global": (_GlobalGraph(network), {"thumbnail": overview}, [*told], {"thumbnail": SIZES}),
        ".local": (
            _LocalGraph(network),
            {"image": image, **told, **where},
            ["enhanced", "local_gain"],
            sizes,
        ),
    }


def without_norms(network: nn.Module) -> nn.Module:
    """A copy, in evaluation mode, whose BatchNorms are folded into the convolutions before them.

    The exporter folds none of those that run twice.
    """
    joined = copy.deepcopy(network).eval()
    for layers in joined.modules():
        named = list(layers.named_children()) if isinstance(layers, nn.Sequential) else []
        for (before, layer), (name, norm) in pairwise(named):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(layers, before, fuse_conv_bn_eval(layer, norm))
                setattr(layers, name, nn.Identity())
    return joined


class _GlobalGraph(nn.Module):
    """Thumbnail of a whole photo -> what the local pass must know."""

    def __init__(self, network: TwoPass) -> None:
        super().__init__()
        self.global_pass = network.global_pass

    def forward(self, thumbnail: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.global_pass.both_ways(thumbnail))


class _LocalGraph(nn.Module):
    """An image or a tile -> the enhanced one, and the logarithm of the grid's gain at each pixel."""

    def __init__(self, network: TwoPass) -> None:
        super().__init__()
        self.local_pass = network.local_pass

    def forward(
        self,
        image: torch.Tensor,
        gain: torch.Tensor,
        condition: torch.Tensor,
        grid: torch.Tensor,
        place: torch.Tensor,
        step: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        height, width = image.shape[-2:]
        encoding = self.local_pass.encode(image, Decision(gain, condition, grid), place, step)
        enhanced = self.local_pass.render(encoding, self.local_pass.decode(encoding))
        return tuple(
            output[..., :height, :width] for output in (enhanced.clamp(0, 1), encoding.local_gain_B1HW)
        )


def _stamped(graph: bytes, facts: Mapping[str, Any]) -> bytes:
    """The graph with facts of its card inside, as JSON by names that begin with `relume.`."""
    model = onnx.load_from_string(graph)
    helper.set_model_props(model, {f"relume.{name}": json.dumps(fact) for name, fact in facts.items()})
    return model.SerializeToString()


def _halved(model: onnx.ModelProto, smallest: int = 256) -> bytes:
    """The serialised graph, its weights stored as float16 behind a cast that is folded on loading.

    Half the size at full speed.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < smallest:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]
    return model.SerializeToString()
