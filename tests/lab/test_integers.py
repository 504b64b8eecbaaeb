"""Training that rounds as the graph of 8 bits does: by hand, beside that graph, and as part of a method."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.capabilities import capabilities
from relume.lab.data.batch import Batch
from relume.lab.integers import in_integers, rounded_maps, rounded_weights
from relume.lab.methods.multi_teacher import MultiTeacher
from relume.lab.networks import build

SMALL = {"widths": [16, 16, 32], "depths": [1, 1, 1], "condition": 16, "global_width": 4, "overview_size": 32}


def test_maps_have_256_levels_between_their_ends_and_keep_zero() -> None:
    maps = torch.tensor([-1.0, -0.3, 0.0, 0.004, 0.5, 1.55]).reshape(1, 1, 2, 3)
    step = 2.55 / 255  # from -1 to 1.55
    by_hand = [-1.0, -0.3, 0.0, 0.0, 0.5, 1.55]
    assert rounded_maps(maps).flatten().tolist() == pytest.approx(by_hand, abs=1e-6)
    assert rounded_maps(maps + step).amin().item() == pytest.approx(-0.99, abs=1e-6)
    assert rounded_maps(torch.zeros(1, 1, 2, 2)).tolist() == torch.zeros(1, 1, 2, 2).tolist()


def test_maps_that_lie_on_one_side_reach_to_zero() -> None:
    maps = torch.rand(1, 2, 4, 4) + 1
    rounded = rounded_maps(maps)
    step = maps.max().item() / 255
    assert (rounded / step).sub((rounded / step).round()).abs().max() < 1e-3
    assert (rounded - maps).abs().max().item() <= step / 2 + 1e-6


def test_weights_have_a_step_for_each_output_channel() -> None:
    weights = torch.tensor([[1.27, -0.634, 0.006], [127.0, 63.6, 0.4]]).reshape(2, 3, 1, 1)
    by_hand = [[1.27, -0.63, 0.01], [127.0, 64.0, 0.0]]
    assert rounded_weights(weights).flatten(1).tolist() == [pytest.approx(row, abs=1e-6) for row in by_hand]


def test_gradients_pass_rounding_as_if_it_were_not_there() -> None:
    for rounded in (rounded_maps, rounded_weights):
        values = torch.randn(2, 3, 4, 4, requires_grad=True)
        (rounded(values) * torch.arange(96.0).reshape(2, 3, 4, 4)).sum().backward()
        assert values.grad is not None
        torch.testing.assert_close(values.grad, torch.arange(96.0).reshape(2, 3, 4, 4))


def test_the_convolutions_are_those_of_the_exported_graph_of_8_bits(every_part: Any) -> None:
    from relume.lab.quantize import quantized

    local = every_part.graphs[".local"]
    inputs = {value.name: value for value in onnx.load_from_string(local).graph.input}
    random = np.random.default_rng(0)

    def example(name: str) -> Any:
        shape = [each.dim_value or 1 for each in inputs[name].type.tensor_type.shape.dim]
        if name == "image":
            shape = [1, 3, 32, 32]
        return random.random(shape, dtype=np.float32)

    examples = [{name: example(name) for name in inputs}]
    examples[0]["place"] = np.array([[0, 0, 32, 32]], np.float32)
    graph = onnx.load_from_string(quantized(local, examples)).graph
    made = {output: node for node in graph.node for output in node.output}
    rounded = {
        node.input[1].removesuffix("_DequantizeLinear_Output").removesuffix(".weight")
        for node in graph.node
        if node.op_type == "Conv" and made.get(node.input[1], node).op_type == "DequantizeLinear"
    }
    ours = {name.removeprefix("local_pass.") for name in capabilities(every_part.network).integers}
    assert ours
    assert {name.split("local_pass.")[-1] for name in rounded} == ours


def test_a_network_rounds_within_the_block_and_is_itself_afterwards() -> None:
    torch.manual_seed(0)
    network = build("two-pass", SMALL)
    torch.nn.init.normal_(network.local_pass.head.weight, std=0.1)
    image = torch.rand(2, 3, 32, 32) * 0.2
    before, state = network.eval()(image), list(network.state_dict())
    name = capabilities(network).integers[0]
    layer, maps = network.get_submodule(name), torch.randn(1, 16, 8, 8)
    with in_integers(network):
        rounding = network(image)
        assert list(network.state_dict()) == state
        by_hand = F.conv2d(
            rounded_maps(maps), rounded_weights(layer.weight), layer.bias, layer.stride, layer.padding
        )
        torch.testing.assert_close(layer(maps), rounded_maps(by_hand))
    assert 0 < (rounding - before).abs().max() < 0.05
    torch.testing.assert_close(network(image), before, rtol=0, atol=0)


def test_a_student_learns_in_integers_from_a_teacher() -> None:
    torch.manual_seed(0)
    student = build("two-pass", {**SMALL, "dropout": 0.0})
    torch.nn.init.normal_(student.local_pass.head.weight, std=0.1)
    high = torch.rand(2, 3, 32, 32)
    images = Batch(high * 0.2, high)
    teachers = {"earlier": {"network": "zero-dce", "weights": "random"}}
    losses = {}
    for integers in (False, True):
        method = MultiTeacher(
            student, {"charbonnier": 1.0}, teachers=teachers, target="earlier", integers=integers
        )
        torch.manual_seed(1)
        losses[integers] = method(images)["charbonnier"]
    losses[True].backward()
    assert losses[True].item() != losses[False].item()
    assert losses[True].item() == pytest.approx(losses[False].item(), rel=0.05)
    assert all(weight.grad is not None for weight in student.local_pass.parameters())
    with pytest.raises(UsageError, match="no graph of 8 bits"):
        MultiTeacher(build("zero-dce"), {"charbonnier": 1.0}, integers=True)
