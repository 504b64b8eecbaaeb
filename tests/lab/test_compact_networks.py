"""Compact Clarity, its teacher MIRNet-v2 and its discriminator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from relume.errors import ModelError
from relume.lab.networks import build
from relume.lab.networks.compact_clarity import (
    AttentionFusion,
    CompactClarity,
    EnhancedSKFF,
    FeatureStretch,
    FrequencyBranch,
    GradientGuide,
    _image_by_products,
    _spectrum_by_products,
    image_of,
    sobel_magnitude,
    spectrum,
)
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.networks.layers import channel_and_position, keep_layout
from relume.lab.networks.mirnet_v2 import ContextBlock, MIRNetV2
from relume.lab.networks.patchgan import PatchGAN
from relume.lab.recipes.compact_clarity import SMALL

NARROW = {"width": 16, "blocks": 1, "groups": (1, 4)}
NARROW_TEACHER = {"n_feat": 16, "n_MRB": 1, "n_RRG": 2}
SWITCHES = {
    "stretch": {"stretch": False},
    "frequency": {"frequency": False},
    "gradient": {"gradient": False},
    "fusion": {"attention_fusion": 2, "teacher_width": 12},
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def student(**options: Any) -> CompactClarity:
    """A network whose zero-initialised layers got random values, so that every part has an effect."""
    torch.manual_seed(0)
    network = CompactClarity(**options)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_parameter_counts() -> None:
    assert count_parameters(CompactClarity()) == pytest.approx(9.99e6, rel=0.01)
    assert 0.5e6 < count_parameters(CompactClarity(**SMALL)) < 1e6
    assert count_parameters(MIRNetV2()) == 5_858_560
    assert count_parameters(PatchGAN()) == pytest.approx(2.77e6, rel=0.01)


def test_mirnet_has_the_names_and_shapes_of_the_published_weights() -> None:
    ours = shapes(MIRNetV2())
    assert len(ours) == 238
    outside = {"conv_in.weight": (80, 3, 3, 3), "conv_out.weight": (3, 80, 3, 3)}
    outside |= {f"body.{group}.body.2.weight": (80, 80, 3, 3) for group in range(4)}
    assert {name: ours[name] for name in outside} == outside
    block = {
        "down2.body.0.bot.1.weight": (120, 80, 1, 1),
        "down4.0.body.0.bot.1.weight": (120, 80, 1, 1),
        "down4.1.body.0.bot.1.weight": (180, 120, 1, 1),
        "up21_1.body.0.bot.0.weight": (80, 120, 1, 1),
        "up21_2.body.0.bot.0.weight": (80, 120, 1, 1),
        "up32_1.body.0.bot.0.weight": (120, 180, 1, 1),
        "up32_2.body.0.bot.0.weight": (120, 180, 1, 1),
        "conv_out.weight": (80, 80, 1, 1),
    }
    for stream, width, hidden in (("top", 80, 10), ("mid", 120, 15)):
        block[f"skff_{stream}.conv_du.0.weight"] = (hidden, width, 1, 1)
        block[f"skff_{stream}.fcs.0.weight"] = (width, hidden, 1, 1)
        block[f"skff_{stream}.fcs.1.weight"] = (width, hidden, 1, 1)
    for group, count in enumerate((1, 2, 4, 4)):
        for stream, width in (("top", 80), ("mid", 120), ("bot", 180)):
            block[f"dau_{stream}.body.0.weight"] = (width, width // count, 3, 3)
            block[f"dau_{stream}.body.2.weight"] = (width, width // count, 3, 3)
            block[f"dau_{stream}.gcnet.conv_mask.weight"] = (1, width, 1, 1)
            block[f"dau_{stream}.gcnet.channel_add_conv.0.weight"] = (width, width, 1, 1)
            block[f"dau_{stream}.gcnet.channel_add_conv.2.weight"] = (width, width, 1, 1)
        for index in range(2):
            prefix = f"body.{group}.body.{index}."
            found = {
                name.removeprefix(prefix): shape for name, shape in ours.items() if name.startswith(prefix)
            }
            assert found == block


def test_mirnet_refuses_what_the_published_code_does_not_do() -> None:
    with pytest.raises(ModelError, match="height 2 and scale 1"):
        build("mirnet-v2", {"height": 2})


def test_more_groups_and_rounds_than_published() -> None:
    network = MIRNetV2(n_feat=16, n_RRG=5, n_MRB=1, width=3).eval()
    assert network.body[4].body[0].dau_top.body[0].groups == 4
    with torch.inference_mode():
        assert network(random(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_context_by_hand() -> None:
    block = ContextBlock(4)
    block.channel_add_conv = nn.Identity()
    maps = random(1, 4, 3, 5).numpy()
    logits = np.tensordot(block.conv_mask.weight.detach().numpy()[0, :, 0, 0], maps[0], 1)
    weights = np.exp(logits) / np.exp(logits).sum()
    expected = maps + (maps * weights).sum((2, 3), keepdims=True)
    with torch.inference_mode():
        np.testing.assert_allclose(block(torch.from_numpy(maps)).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (33, 64)])
@pytest.mark.parametrize(
    "network", [CompactClarity(**NARROW), MIRNetV2(**NARROW_TEACHER)], ids=["student", "teacher"]
)
def test_any_size_comes_back_in_range_with_features(
    network: CompactClarity | MIRNetV2, size: tuple[int, int]
) -> None:
    image = random(2, 3, *size)
    with torch.inference_mode():
        output, features = network.eval().output_and_features(image)
        again, more = network(image), network.features(image)
    assert output.shape == (2, 3, *size)
    assert 0 <= output.min() <= output.max() <= 1
    assert network.capabilities.features == (16, 16)
    assert [level.shape for level in features] == [(2, 16, *size)] * 2
    assert torch.equal(output, again)
    assert all(torch.equal(one, other) for one, other in zip(features, more, strict=True))


def test_an_untrained_student_returns_its_input() -> None:
    image = random(1, 3, 16, 24)
    with torch.inference_mode():
        assert torch.equal(CompactClarity(**NARROW).eval()(image), image)


@pytest.mark.parametrize("options", [{}, *SWITCHES.values()], ids=["default", *SWITCHES])
def test_every_switch_trains(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = CompactClarity(**SMALL, **options).train()
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    low, teacher = random(1, 3, 64, 64) * 0.2, random(1, 12, 64, 64, seed=1)
    for _ in range(3):  # the third reaches what stands before two layers that start at zero
        with torch.autocast("cpu", torch.bfloat16):
            loss = (network(low, teacher) - 5 * low).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.isfinite()
    still = [name for name, value in network.named_parameters() if torch.equal(value, before[name])]
    assert not still


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_its_own_parameters_and_nothing_else(switch: str) -> None:
    default, other = shapes(CompactClarity()), shapes(CompactClarity(**SWITCHES[switch]))
    assert default != other
    assert {name for name in default.keys() ^ other.keys() if not name.startswith(f"{switch}.")} == set()
    assert all(default[name] == other[name] for name in default.keys() & other.keys())


def test_checkpointing_computes_groups_twice_and_gradients_alike() -> None:
    gradients: list[list[Tensor]] = []
    calls: list[int] = []
    for checkpointing in (False, True):
        network = student(**NARROW, checkpointing=checkpointing).train()
        network.body[0].register_forward_pre_hook(lambda *_: calls.append(1))
        network(random(2, 3, 24, 16)).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert len(calls) == 3
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_stretch_by_hand() -> None:
    block = FeatureStretch(4)
    block.block = nn.Identity()
    maps = random(2, 4, 6, 5).numpy()
    first, _, second, _ = block.attention
    hidden = np.einsum("oc,bc->bo", first.weight.detach()[..., 0, 0], maps.mean((2, 3))) + first.bias.tolist()
    logits = np.einsum("oc,bc->bo", second.weight.detach()[..., 0, 0], hidden.clip(0)) + second.bias.tolist()
    attention = (1 / (1 + np.exp(-logits)))[:, :, None, None]
    spread = np.sqrt(maps.var((2, 3), keepdims=True) + 1e-5)
    standard = (maps - maps.mean((2, 3), keepdims=True)) / spread
    expected = maps + (1 + attention[:, :4]) * standard + attention[:, 4:]
    with torch.inference_mode():
        np.testing.assert_allclose(block(torch.from_numpy(maps)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_sobel_magnitude_is_scipys() -> None:
    maps = random(1, 2, 9, 7)
    expected = [
        np.hypot(*(ndimage.sobel(x, axis, mode="nearest") for axis in (0, 1))) for x in maps[0].numpy()
    ]
    np.testing.assert_allclose(sobel_magnitude(maps)[0].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_sobel_magnitude_has_a_gradient_on_flat_areas() -> None:
    flat = torch.full((1, 1, 8, 8), 0.3, requires_grad=True)
    sobel_magnitude(flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_gradient_guide_by_hand() -> None:
    block = GradientGuide(3)
    block.gradient = nn.Identity()
    maps = random(1, 3, 8, 8)
    block.enhance = _SecondHalf()
    torch.testing.assert_close(block(maps), maps + sobel_magnitude(maps))


class _SecondHalf(nn.Module):
    """The second half of the channels."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW.chunk(2, 1)[1]


def test_frequency_branch_without_convolutions_doubles() -> None:
    branch = FrequencyBranch(4)
    branch.conv = nn.Identity()
    maps = random(2, 4, 8, 24)
    torch.testing.assert_close(branch(maps), 2 * maps)


def test_products_are_the_fourier_transform() -> None:
    maps = random(2, 3, 8, 24)
    torch.testing.assert_close(_spectrum_by_products(maps), spectrum(maps), rtol=1e-5, atol=1e-5)
    # Not a transform of anything real: what has no effect must have none in both.
    frequencies = random(2, 6, 8, 13, seed=1)
    torch.testing.assert_close(
        _image_by_products(frequencies, 24), image_of(frequencies, 24), rtol=1e-5, atol=1e-5
    )


def test_fusion_of_streams_by_hand() -> None:
    fusion = EnhancedSKFF(4)
    nn.init.zeros_(fusion.spatial.weight)
    nn.init.constant_(fusion.spatial.bias, 0.7)
    first, second = random(2, 4, 5, 6), random(2, 4, 5, 6, seed=1)
    logits = torch.stack(
        [fusion.channel((first + second).mean((2, 3), keepdim=True)) + 0.7, torch.zeros(2, 4, 1, 1)]
    )
    weights = logits.softmax(0)
    torch.testing.assert_close(fusion(first, second), first * weights[0] + second * weights[1])
    nn.init.normal_(fusion.spatial.weight)
    fused = fusion(first, second)
    assert (fused >= torch.minimum(first, second) - 1e-6).all()
    assert (fused <= torch.maximum(first, second) + 1e-6).all()


def test_layouts_stay_channels_last_in_both_directions() -> None:
    x = torch.rand(2, 4, 6, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    total = keep_layout(x + 1)
    gradients: list[Tensor] = []
    total.register_hook(gradients.append)
    (total.mean((2, 3)).square().sum() + total.max(1).values.sum()).backward()
    assert gradients[0].is_contiguous(memory_format=torch.channels_last)
    summed = channel_and_position(torch.rand(2, 4, 1, 1), torch.rand(2, 1, 6, 8))
    assert summed.is_contiguous(memory_format=torch.channels_last)


def test_fusion_has_the_same_gradients_in_both_layouts() -> None:
    torch.manual_seed(0)
    fusion = EnhancedSKFF(4)
    first = torch.rand(2, 4, 6, 8)
    gradients: list[Tensor] = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x = first.clone(memory_format=layout).requires_grad_()
        fusion(x, x.square()).sin().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


def test_attention_fusion_by_hand_and_within_windows() -> None:
    fusion = AttentionFusion(4, 6)
    nn.init.eye_(fusion.out.weight[..., 0, 0])
    mine, theirs = random(1, 4, 16, 24), random(1, 6, 16, 24, seed=1)
    window = (..., slice(8, 16), slice(16, 24))
    with torch.inference_mode():
        fused = fusion(mine, theirs)
        query, key, value = (
            convolution(maps)[window].flatten(2)[0].T
            for convolution, maps in ((fusion.query, mine), (fusion.key, theirs), (fusion.value, theirs))
        )
        expected = ((query @ key.T / 2).softmax(1) @ value).T.unflatten(1, (8, 8))
        torch.testing.assert_close((fused - mine)[window][0], expected)
        theirs[window] = 0
        changed = (fusion(mine, theirs) != fused).any(1)[0]
    assert changed[window].any()
    assert changed.sum() == changed[window].sum()


def test_attention_fusion_is_skipped_without_a_teacher() -> None:
    with_fusion = student(**NARROW, attention_fusion=1, teacher_width=6).eval()
    without = CompactClarity(**NARROW).eval()
    without.load_state_dict(with_fusion.state_dict(), strict=False)
    image, teacher = random(1, 3, 20, 30), random(1, 6, 10, 15, seed=1)
    with torch.inference_mode():
        assert torch.equal(with_fusion(image), without(image))
        assert not torch.equal(with_fusion(image, teacher), without(image))


def test_discriminator_sees_patches_of_70_pixels() -> None:
    network = PatchGAN(width=4).eval()
    image = random(1, 3, 160, 160).requires_grad_()
    logits = network(image)
    assert logits.shape == (1, 1, 18, 18)
    logits[0, 0, 9, 9].backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_discriminator_at_64_pixels() -> None:
    network = PatchGAN().requires_grad_(False)
    assert network(random(2, 3, 64, 64)).shape == (2, 1, 6, 6)
    convolutions = ((3, 64, 32), (64, 128, 16), (128, 256, 8), (256, 512, 7), (512, 1, 6))
    macs = sum(before * after * 16 * side * side for before, after, side in convolutions)
    assert count_macs(network, 64) == macs


def test_spectral_norm_bounds_every_convolution() -> None:
    torch.manual_seed(0)
    network = PatchGAN(width=8)
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 5
    with torch.no_grad():
        for convolution in convolutions:
            convolution.parametrizations.weight.original.mul_(10)
        for _ in range(20):
            network.train()(random(1, 3, 32, 32))
        for convolution in convolutions:
            largest = torch.linalg.svdvals(convolution.weight.flatten(1)).max()
            assert largest == pytest.approx(1, abs=0.05)


def onnx_session(network: nn.Module, example: Tensor) -> onnxruntime.InferenceSession:
    """The network in ONNX Runtime, for any height and width; its input is called `x`."""
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=18,
        input_names=["x"],
        dynamic_shapes=(sizes,),
        verbose=False,
    )
    assert program is not None
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString())


def test_frequency_branch_as_a_graph() -> None:
    branch = FrequencyBranch(2).eval()
    session = onnx_session(branch, random(1, 2, 16, 24))
    for size in ((16, 24), (40, 56)):
        maps = random(1, 2, *size)
        with torch.inference_mode():
            expected = branch(maps).numpy()
        np.testing.assert_allclose(session.run(None, {"x": maps.numpy()})[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_student_as_a_graph() -> None:
    network = student(**NARROW).eval()
    session = onnx_session(network, random(1, 3, 40, 56))
    for size in ((40, 56), (33, 90), (1, 1)):
        image = random(1, 3, *size)
        with torch.inference_mode():
            expected = network(image).numpy()
        np.testing.assert_allclose(session.run(None, {"x": image.numpy()})[0], expected, atol=1e-4)
