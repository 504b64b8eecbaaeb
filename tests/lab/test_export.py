"""Export: the graphs say what the network says, for any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from relume import Enhancer
from relume.errors import (
    DataError,
    ExitCode,
    InputTooLarge,
    ModelError,
    OutputUnwritable,
    RelumeError,
    UsageError,
)
from relume.lab import export
from relume.lab.data.paired import to_tensor
from relume.lab.export import PARITY, STATISTICS, export_graphs, export_run, statistics_of
from relume.lab.networks.two_pass import TwoPass, place, step
from relume.lab.recipe import Recipe, to_json
from relume.lab.run import load_run
from relume.lab.training.loop import train
from relume.models import Card, list_models, load_card
from relume.models.engines import OnnxEngine
from relume.models.store import load_graph
from relume.options import MODEL_ALONE
from relume.steps.thumbnail import overview_shape, thumbnail
from shared import Result


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_recipe: Recipe
) -> tuple[TwoPass, Card, Path]:
    folder = tmp_path_factory.mktemp("export")
    train(tiny_recipe, tiny_root, folder / "run", device="cpu", quiet=True)
    card = export_run(folder / "run", "tiny", folder / "zoo", {"summary": "A test."})
    _, network = load_run(folder / "run")
    assert isinstance(network, TwoPass)
    return network, card, folder / "zoo"


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 33), (64, 64), (75, 130)])
def test_graphs_agree_with_the_network(exported: tuple[TwoPass, Card, Path], size: tuple[int, int]) -> None:
    network, card, folder = exported
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    small = thumbnail(image, overview_shape(*image.shape[-2:], card.thumbnail_size))
    first = OnnxEngine((folder / card.global_graph).read_bytes(), device="cpu")
    second = OnnxEngine((folder / card.local_graph).read_bytes(), device="cpu")
    told = first.run(thumbnail=small.numpy())
    where = {"place": place(image, None).numpy(), "step": step(image).numpy()}
    enhanced = second.run(image=image.numpy(), **where, **told)["enhanced"]
    with torch.inference_mode():
        expected = network(image).numpy()
    assert enhanced.shape == expected.shape
    # Half-precision weights cost up to 2^-11 relative in each, far below one step of 8 bits.
    np.testing.assert_allclose(enhanced, expected, atol=1 / 510)


def test_graphs_of_a_network_whose_every_part_acts_agree_with_it(
    every_part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert any("film" in name for name, _ in every_part.network.named_parameters())
    monkeypatch.setattr(export, "_graphs", lambda _: every_part.graphs)
    other = deepcopy(every_part.network)
    assert export_graphs(other) == every_part.graphs
    for parameter in other.local_pass.parameters():
        parameter.data.mul_(3)
    with pytest.raises(ModelError, match="differ from the network"):
        export_graphs(other)


def test_metrics_of_other_graphs_are_not_taken_over(
    exported: tuple[TwoPass, Card, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, card, folder = exported
    parts = {f".{part}": (folder / file).read_bytes() for part, file in card.graphs.items()}
    monkeypatch.setattr(export, "_graphs", lambda _: parts)
    same = {**asdict(card), "metrics": {"psnr": 20.0}}
    run = folder.parent / "run"
    assert export_run(run, "tiny", tmp_path, same).metrics == {"psnr": 20.0}
    other = {**same, "files": dict.fromkeys(card.files, "0" * 64)}
    assert export_run(run, "tiny", tmp_path, other).metrics == {}


def test_the_command_needs_no_facts_and_replaces_no_model_unasked(
    exported: tuple[TwoPass, Card, Path], relume: Callable[..., Result], tmp_path: Path
) -> None:
    """It exports a second time, which makes the same graphs."""
    _, card, folder = exported
    out = tmp_path / "zoo"
    arguments = ["export", folder.parent / "run", "--name", "tiny", "-o", out]
    out.mkdir()
    (out / "tiny.json").write_text("an earlier card")
    refused = relume(*arguments)
    assert (refused.code, "--force" in refused.err) == (ExitCode.OUTPUT_EXISTS, True)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("tiny.json", "an earlier card")]
    forced = relume(*arguments, "--force")
    assert forced.code == 0
    assert (
        f"wrote the card {out / 'tiny.json'} and its graphs tiny.global.onnx, tiny.local.onnx" in forced.err
    )
    told_nothing = load_card(str(out / "tiny.json"))
    assert (told_nothing.files, told_nothing.summary) == (card.files, "")


@pytest.mark.parametrize(
    ("name", "about", "error"),
    [
        ("tiny", [1], DataError),
        ("tiny", {"summary": 5}, DataError),
        ("tiny", {"metrics": [1]}, DataError),
        ("", {}, UsageError),
        ("../tiny", {}, UsageError),
        (".tiny", {}, UsageError),
    ],
)
def test_what_no_card_can_hold_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, about: Any, error: type[RelumeError]
) -> None:
    monkeypatch.setattr(export, "load_run", lambda _: pytest.fail("too late"))
    with pytest.raises(error):
        export_run(tmp_path, name, tmp_path / "zoo", about)
    assert not (tmp_path / "zoo").exists()


def test_an_export_into_a_file_is_refused(exported: tuple[TwoPass, Card, Path], tmp_path: Path) -> None:
    (tmp_path / "zoo").write_text("a file")
    with pytest.raises(OutputUnwritable):
        export_run(exported[2].parent / "run", "tiny", tmp_path / "zoo", {})


def test_card_tells_the_facts_of_the_network(exported: tuple[TwoPass, Card, Path]) -> None:
    network, card, folder = exported
    stored = load_card(str(folder / "tiny.json"))
    assert stored.files == card.files
    assert stored.halo == network.local_pass.halo
    assert stored.halo % stored.size_multiple == 0
    assert stored.params == sum(parameter.numel() for parameter in network.parameters())
    assert stored.recipe["name"] == "tiny"
    assert (stored.schema, stored.graphs) == (2, {"global": "tiny.global.onnx", "local": "tiny.local.onnx"})
    assert 0 <= stored.variants[0]["largest_difference"] <= PARITY


FACTS = ("schema", "name", "network", "thumbnail_size", "size_multiple", "halo", "value_range", "licence")


def told_by(graph: onnx.ModelProto) -> dict[str, Any]:
    """What a graph says of its model."""
    told = {entry.key: entry.value for entry in graph.metadata_props}
    return {key: json.loads(value) for key, value in told.items() if key.startswith("relume.")}


def test_graphs_tell_the_facts_of_their_card(exported: tuple[TwoPass, Card, Path]) -> None:
    network, card, folder = exported
    for part, file in card.graphs.items():
        facts = json.loads(json.dumps({f"relume.{name}": getattr(card, name) for name in FACTS}))
        told = told_by(onnx.load(folder / file))
        assert told.pop(STATISTICS, None) == (statistics_of(network) if part == "global" else None)
        assert told == {"relume.graph": part, **facts}


@pytest.mark.parametrize("model", list_models())
def test_shipped_graphs_tell_the_facts_of_their_card(model: str) -> None:
    card = load_card(model)
    facts = json.loads(json.dumps({f"relume.{name}": getattr(card, name) for name in FACTS}))
    for variant in card.variants:
        for part, file in variant["graphs"].items():
            graph = onnx.load_from_string(load_graph(model, card, file))
            told = told_by(graph)
            assert (STATISTICS in told) == (part == "global")
            told.pop(STATISTICS, None)
            assert told == {"relume.graph": part, **facts}


def test_graphs_hold_nothing_of_the_machine(exported: tuple[TwoPass, Card, Path]) -> None:
    _, card, folder = exported
    here = str(Path(__file__).parents[2]).encode()
    for file in card.files:
        graph = (folder / file).read_bytes()
        assert here not in graph
        assert b"site-packages" not in graph


def test_weights_are_stored_in_half_precision(exported: tuple[TwoPass, Card, Path]) -> None:
    _, card, folder = exported
    graph = onnx.load(folder / card.local_graph).graph
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) >= 256]
    assert large
    assert all(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in large if tensor.data_type != 7)


@pytest.mark.parametrize("size", [(1, 1), (2, 70), (33, 64), (75, 130)])
def test_one_graph_serves_photos_of_any_size(autoencoder: Path, size: tuple[int, int]) -> None:
    _, network = load_run(autoencoder.parent.parent / "run")
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(to_tensor(image))[0].permute(1, 2, 0).numpy() * 255
    # Tiles are ignored: a network that looks at the whole photo would break between them.
    enhanced = Enhancer(str(autoencoder), device="cpu", tile=32).enhance(image, **asdict(MODEL_ALONE))
    assert enhanced.shape == image.shape
    np.testing.assert_allclose(enhanced, expected, atol=1.0)


def test_one_graph_refuses_photos_that_memory_would_not_hold(
    autoencoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relume.look.render.WHOLE_LIMIT", 100)
    with pytest.raises(InputTooLarge, match="works in tiles"):
        Enhancer(str(autoencoder), device="cpu").enhance(np.ones((10, 11, 3), np.uint8), strength=1)


def test_exported_models_are_checked_like_shipped_ones(autoencoder: Path, tmp_path: Path) -> None:
    assert load_card(str(autoencoder)).halo is None
    copied = tmp_path / "whole.json"
    copied.write_bytes(autoencoder.read_bytes())
    (tmp_path / "whole.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="not the one that its card names"):
        Enhancer(str(copied))
    with pytest.raises(ModelError, match="cannot be read"):
        Enhancer(str(tmp_path / "absent.json"))


def test_what_is_no_finished_run_is_refused_with_the_file_that_it_lacks(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"not that of a run \(there is no recipe.json\)"):
        load_run(tmp_path)
    (tmp_path / "recipe.json").write_text(to_json(tiny_recipe))
    with pytest.raises(ModelError, match=r"not finished \(there is no weights.safetensors\)"):
        load_run(tmp_path)
    with pytest.raises(ModelError, match="a file, not the folder of a run"):
        load_run(tmp_path / "recipe.json")
