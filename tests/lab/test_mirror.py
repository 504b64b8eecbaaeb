"""The auto-encoder of IAML and its mirror method."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.data.paired import Batch
from relume.lab.losses.mirror import STANDARDISATIONS, dimmed, illumination_weight, mirror_losses, standardise
from relume.lab.methods.mirror import CLEAN_STATISTICS, Mirror
from relume.lab.networks import build
from relume.lab.networks.autoencoder import CBAM, Autoencoder
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.recipe import Phase, Recipe
from relume.lab.run import Run
from relume.lab.training.loop import train
from shared import Result

NARROW = {"widths": [8, 16, 16, 24, 24], "head": 8}
LOSSES = {"mse": 1.0, "ssim": 1.0, "mirror": 0.8}


def batch(size: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(0)
    high = torch.rand(2, 3, size, size, generator=generator)
    return Batch(high * 0.2, high, torch.rand(2, 3, 8, 8, generator=generator))


def method(**options: Any) -> Mirror:
    torch.manual_seed(0)
    return Mirror(build("iaml-autoencoder", NARROW), LOSSES, projections=(4, 6, 8, 10), **options).train()


def test_the_published_network_has_the_published_size() -> None:
    network = Autoencoder()
    assert count_parameters(network) == 9_672_099
    assert count_macs(network, 256) == pytest.approx(4.37e9, rel=0.01)


def test_shapes_of_every_level() -> None:
    network = Autoencoder().eval()
    with torch.inference_mode():
        levels = network.encode(torch.rand(1, 3, 64, 96))
        maps = network.decode(levels)
    assert [tuple(level.shape[1:]) for level in levels[1:]] == [
        (64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3),
    ]  # fmt: skip
    assert [tuple(level.shape[1:]) for level in maps] == [
        (512, 2, 3), (1024, 4, 6), (512, 8, 12), (256, 16, 24), (128, 32, 48),
    ]  # fmt: skip
    assert network.capabilities.maps == (512, 1024, 512, 256, 128)


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (33, 64), (64, 64)])
def test_any_size_comes_back_in_range(size: tuple[int, int]) -> None:
    network = build("iaml-autoencoder", NARROW).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert 0 <= output.min() <= output.max() <= 1


def test_illumination_weight_by_hand() -> None:
    low = np.random.default_rng(0).random((1, 3, 4, 5))
    y = np.tensordot([0.299, 0.587, 0.114], low[0], 1)
    expected = 1 + 0.6 * (1 - (y - y.min()) / (y.max() - y.min() + 1e-7))
    weight = illumination_weight(torch.from_numpy(low), 0.6)
    np.testing.assert_allclose(weight[0, 0].numpy(), expected, rtol=1e-6)
    assert 1 <= weight.min() <= weight.max() <= 1.6 + 1e-6


def standard(x: np.ndarray, over: str) -> np.ndarray:
    """Zero mean and unit deviation: of a sample, of its channels, or of channels over the batch."""
    middle, spread = {"sample": ((1, 2, 3),) * 2, "channel": ((2, 3),) * 2, "batch": (0, (0, 2, 3))}[over]
    centred = x - x.mean(middle, keepdims=True)
    count = np.prod([x.shape[axis] for axis in spread])
    means = count / np.prod([x.shape[axis] for axis in np.atleast_1d(middle)])
    deviation = np.sqrt((centred**2).sum(spread, keepdims=True) / (count - means))
    return centred / (np.maximum(deviation, 1e-6) + 1e-6)


@pytest.mark.parametrize("over", ["sample", "channel", "batch"])
def test_mirror_loss_by_hand(over: str) -> None:
    random = np.random.default_rng(1)
    student, teacher = random.normal(2, 3, (2, 4, 6, 5)), random.normal(-1, 0.5, (2, 4, 6, 5))
    weight = 1 + random.random((2, 1, 6, 5))

    expected = (weight * np.abs(standard(student, over) - standard(teacher, over))).mean()
    maps = [torch.from_numpy(student)], [torch.from_numpy(teacher)]
    terms = mirror_losses(*maps, torch.from_numpy(weight), over)
    assert terms[0].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("shape", "agree"), [((1, 8, 1, 1), {"sample"}), ((1, 8, 6, 6), {"sample", "channel"})]
)
def test_maps_that_ignore_the_image_agree_unless_that_is_taken_away(
    shape: tuple[int, ...], agree: set[str]
) -> None:
    """A constant a channel, and a pattern."""
    generator = torch.Generator().manual_seed(0)
    same = torch.randn(shape, generator=generator)
    content = 1e-3 * torch.randn(2, 4, 8, 6, 6, generator=generator)
    blind = [same + content[0]], [same + content[1]]
    weight = torch.ones(4, 1, 6, 6)
    for over in STANDARDISATIONS:
        distance = mirror_losses(*blind, weight, over)[0].item()
        assert distance < 0.01 if over in agree else distance > 0.5


@pytest.mark.parametrize("over", ["channel", "batch"])
def test_a_constant_channel_has_a_gradient_without_nan(over: str) -> None:
    maps = torch.ones(1, 2, 4, 4, requires_grad=True)
    mirror_losses([maps], [torch.rand(1, 2, 4, 4)], torch.ones(1, 1, 4, 4), over)[0].backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_beta_zero_is_the_plain_mirror_loss() -> None:
    low = torch.rand(1, 3, 8, 8)
    assert torch.equal(illumination_weight(low, 0.0), torch.ones(1, 1, 8, 8))


def test_projections_align_four_scales_from_the_coarsest() -> None:
    training = method()
    shapes = [tuple(level.shape[1:]) for level in training.teacher_maps(batch())]
    assert shapes == [(4, 2, 2), (6, 4, 4), (8, 8, 8), (10, 16, 16)]
    assert {f"mirror_{scale}" for scale in (1, 2, 3, 4)} < set(training(batch()))


def test_no_gradient_reaches_the_teacher_and_none_runs_through_the_clean_image() -> None:
    training = method()
    losses = training(batch())
    sum(losses[name] for name in losses if name.startswith("mirror")).backward()
    assert all(p.grad is None for p in training.teacher.parameters())
    assert all(p.grad is None for p in training.teacher_projections.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in training.network.encoder.parameters())
    assert all(p.grad is not None for p in training.projections.parameters())


@pytest.mark.parametrize("statistics", CLEAN_STATISTICS)
def test_the_clean_pass_leaves_the_students_statistics_and_mode_alone(statistics: str) -> None:
    training = method(clean_statistics=statistics)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    training.teacher_maps(batch())
    assert training.network.training
    assert all(torch.equal(before[name], value) for name, value in training.network.state_dict().items())


def test_the_teacher_moves_exactly_by_the_average() -> None:
    training = method(decay=0.9)
    before = {name: value.clone() for name, value in training.teacher.state_dict().items()}
    training(batch())  # moves the student's BatchNorm statistics
    with torch.no_grad():
        for parameter in training.network.parameters():
            parameter.add_(1.0)
    training.after_step()
    student = training.network.state_dict()
    for name, value in training.teacher.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * student[name])
    statistics = [name for name in before if name.endswith("running_mean")]
    assert any(not torch.equal(before[name], training.teacher.state_dict()[name]) for name in statistics)


def test_decay_zero_copies_the_student() -> None:
    training = method(decay=0.0)
    with torch.no_grad():
        for parameter in training.network.parameters():
            parameter.mul_(1.5)
    training.after_step()
    for ours, theirs in zip(training.network.parameters(), training.teacher.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("changes", [{}, {"beta": 0.0}, {"beta": 2.0}, {"standardise_over": "batch"}])
def test_the_methods_terms_by_hand(changes: dict[str, Any]) -> None:
    """Each scale's share, the clean image before the teacher, the weight of the dark one, every option."""
    training, images = method(**changes), batch()
    with torch.no_grad():
        for parameter in [*training.teacher.parameters(), *training.teacher_projections.parameters()]:
            parameter.add_(0.1 * torch.randn(parameter.shape))
    again = copy.deepcopy(training)
    terms = training(images)
    with torch.no_grad():
        maps = again.network.decode(again.network.encode(images.low_BCHW))
        again.network.eval()
        clean = again.teacher.eval().decode(again.network.encode(images.high_BCHW))
        weight = illumination_weight(images.low_BCHW, changes.get("beta", 0.6))
        over = changes.get("standardise_over", "sample")
        for scale in range(4):
            ours = standard(again.projections[scale](maps[scale]).numpy(), over)
            theirs = standard(again.teacher_projections[scale](clean[scale]).numpy(), over)
            shrunk = F.interpolate(weight, ours.shape[-2:], mode="bilinear").numpy()
            expected = 0.8 / 4 * (shrunk * np.abs(ours - theirs)).mean()
            assert terms[f"mirror_{scale + 1}"].item() == pytest.approx(expected, rel=1e-3)


def test_without_its_weight_the_method_is_plain_supervision() -> None:
    torch.manual_seed(0)
    training = Mirror(build("iaml-autoencoder", NARROW), {"mse": 1.0, "ssim": 1.0}, projections=(4, 6, 8, 10))
    assert set(training(batch())) == {"mse", "ssim"}


@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler")
def test_compiled_attention_has_finite_gradients() -> None:
    """The compiler keeps more digits than bfloat16 has, so a peak must not be sought again by its value."""
    attention = CBAM(16)
    attention.compile(dynamic=False)
    maps = torch.rand(2, 16, 16, 16).contiguous(memory_format=torch.channels_last).bfloat16()
    maps.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        attention(maps).float().sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in attention.parameters())


def test_the_default_network_can_be_taught_too() -> None:
    torch.manual_seed(0)
    network = build(
        "two-pass", {"widths": [16, 16, 32], "depths": [1, 1, 1], "global_width": 4, "overview_size": 32}
    )
    training = Mirror(network, LOSSES, projections=(4, 6, 8)).train()
    generator = torch.Generator().manual_seed(0)
    high = torch.rand(2, 3, 32, 32, generator=generator)
    losses = training(Batch(high * 0.2, high, high * 0.2))
    assert {"mse", "ssim", "mirror_1", "mirror_2", "mirror_3"} == set(losses)
    torch.stack(list(losses.values())).sum().backward()
    assert network.local_pass.stem.weight.grad.abs().sum() > 0


def test_an_unknown_standardisation_is_refused() -> None:
    with pytest.raises(UsageError, match=r"standardised over 'x'.*sample, channel, batch"):
        method(standardise_over="x")


def test_networks_without_decoder_maps_are_refused() -> None:
    with pytest.raises(UsageError, match="0 decoder maps for 4 projections"):
        Mirror(build("zero-dce"), LOSSES)


def test_resume_restores_the_teacher(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(
        tiny_recipe,
        network="iaml-autoencoder",
        network_options=NARROW,
        method="mirror",
        method_options={"projections": [4, 6, 8, 10], "decay": 0.9},
        losses=LOSSES,
        phases=(Phase(4, 32, 2),),
        checkpoint_every=2,
    )
    train(recipe, tiny_root, tmp_path / "whole", device="cpu", quiet=True)
    # The same recipe, cut off after its first checkpoint: the second half must not notice.
    from relume.lab.training import loop

    trainer = loop.Trainer(recipe, torch.device("cpu"))
    data, _ = loop.load_crops(tiny_root, recipe.data, recipe.seed, 1)
    for _ in range(2):
        trainer.train_step(data)
    resumed = loop.Trainer(recipe, torch.device("cpu"))
    resumed.restore(trainer.state())
    for _ in range(2):
        resumed.train_step(data)
    expected = load_file(tmp_path / "whole" / "weights.safetensors")
    average = resumed.average.network.state_dict()
    assert all(torch.equal(expected[name], average[name]) for name in expected)


def test_a_short_run_of_the_recipe(tiny_root: Path, tmp_path: Path, relume: Callable[..., Result]) -> None:
    short = 'phases=[{"steps": 2, "crop": 32, "batch": 2}]'
    run = tmp_path / "run"
    done = relume("train", "iaml-cpu", "--data", tiny_root, "-o", run, "-q", "--set", short)
    assert done.code == 0, done.err
    assert sum(value.numel() for value in load_file(run / "weights.safetensors").values()) > 9.6e6
    terms = {"mse", "ssim", *(f"mirror_{scale}" for scale in range(1, 5))}
    assert terms <= set(Run(run).metrics()[0])


def test_crops_that_the_levels_do_not_divide_are_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        method()(batch(48))


def test_unknown_statistics_are_refused() -> None:
    with pytest.raises(UsageError, match=r"statistics of 'x'.*running, batch"):
        method(clean_statistics="x")


def test_the_deviation_is_the_unbiased_one() -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        standardise(maps, eps=1e-12).std((1, 2, 3)), torch.ones(2, dtype=torch.float64)
    )
    torch.testing.assert_close(
        standardise(maps, "channel", 1e-12).std((2, 3)), torch.ones(2, 3, dtype=torch.float64)
    )


def test_attention_by_hand() -> None:
    """IAML's form: each pooled vector has a sigmoid of its own, and the MLP biases."""
    torch.manual_seed(0)
    attention, maps = CBAM(16), torch.randn(2, 16, 5, 6)
    first, second = attention.mlp[0], attention.mlp[2]

    def gate(pooled: torch.Tensor) -> torch.Tensor:
        hidden = (pooled @ first.weight[:, :, 0, 0].T + first.bias).relu()
        return (hidden @ second.weight[:, :, 0, 0].T + second.bias).sigmoid()

    channel = gate(maps.mean((2, 3))) + gate(maps.amax((2, 3)))
    weighed = maps * channel[:, :, None, None]
    position = F.conv2d(
        torch.stack([weighed.mean(1), weighed.amax(1)], 1), attention.spatial.weight, padding=3
    )
    torch.testing.assert_close(attention(maps), weighed * position.sigmoid())


def test_dimmed_images_have_their_partners_luma() -> None:
    clean = torch.rand(2, 3, 8, 8) * 0.5 + 0.5
    low = torch.stack([clean[0] * 0.1, torch.zeros(3, 8, 8)])
    torch.testing.assert_close(dimmed(clean, low), low)  # without noise a dimmed image is its partner
    assert dimmed(low, clean).max() <= 1


def test_a_dimmed_clean_image_without_noise_looks_like_its_partner_to_the_teacher() -> None:
    images = batch()  # low is a fifth of high
    for dim_clean in (True, False):
        training = method(dim_clean=dim_clean).eval()
        pairs = zip(training.raw_student_maps(images), training.raw_teacher_maps(images), strict=True)
        distances = [((ours - theirs).norm() / ours.norm()).item() for ours, theirs in pairs]
        assert max(distances) < 1e-4 if dim_clean else min(distances) > 0.5


def test_batch_statistics_normalise_the_clean_image_by_itself() -> None:
    training, images = method(clean_statistics="batch"), batch()
    again = copy.deepcopy(training)
    expected = again.teacher.train().decode(again.network.train().encode(images.high_BCHW))
    for ours, theirs in zip(training.raw_teacher_maps(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    by_dark_ones = method().raw_teacher_maps(images)[-1]
    assert (by_dark_ones - expected[-1]).norm() > 0.5 * expected[-1].norm()


def test_frozen_projections_are_orthonormal_shared_and_never_trained() -> None:
    training = method(frozen_projections=True)
    for ours, theirs in zip(training.projections, training.teacher_projections, strict=True):
        rows = ours.weight[:, :, 0, 0]
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
        assert ours.bias is None
        assert not ours.weight.requires_grad
        assert torch.equal(ours.weight, theirs.weight)


def test_the_decoder_alone_is_taught_the_same_and_counted_once() -> None:
    whole, alone = method(first_map=1), method(first_map=1, detach_encoder=True)
    images = batch()
    expected, terms = whole(images), alone(images)
    for name, term in expected.items():
        torch.testing.assert_close(terms[name], term)
    for ours, theirs in zip(alone.network.buffers(), whole.network.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    torch.stack([terms[f"mirror_{scale}"] for scale in (1, 2, 3, 4)]).sum().backward()
    assert all(weight.grad is None for weight in alone.network.encoder.parameters())
    assert any(weight.grad is not None for weight in alone.network.up.parameters())


def test_the_finest_maps_can_be_aligned_without_the_bottleneck() -> None:
    shapes = [tuple(level.shape[1:]) for level in method(first_map=1).student_maps(batch())]
    assert shapes == [(4, 4, 4), (6, 8, 8), (8, 16, 16), (10, 32, 32)]
    with pytest.raises(UsageError, match="3 decoder maps for 4"):
        method(first_map=2)


def test_the_mirrors_weight_can_fade() -> None:
    training, images = method(fade=True).eval(), batch()
    full = training(images)
    training.progress.fill_(0.75)
    faded = training(images)
    torch.testing.assert_close(faded["mirror_1"], full["mirror_1"] / 4)
    torch.testing.assert_close(faded["mse"], full["mse"])


def test_a_run_tells_its_method_how_far_it_is(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(
        tiny_recipe,
        network="iaml-autoencoder",
        network_options=NARROW,
        method="mirror",
        method_options={"projections": [4, 6, 8, 10], "fade": True, "decay": 0.0},
        losses={"mse": 1.0, "mirror": 0.8},
        phases=(Phase(4, 32, 2),),
        optimizer=replace(tiny_recipe.optimizer, lr=0.0, min_lr=0.0),  # what is compared stays as it is
        log_every=1,
    )
    train(recipe, tiny_root, tmp_path / "fading", device="cpu", quiet=True)
    steady = replace(recipe, method_options={**recipe.method_options, "fade": False})
    train(steady, tiny_root, tmp_path / "steady", device="cpu", quiet=True)
    fading, steady_rows = (
        [row["mirror_1"] for row in Run(tmp_path / name).metrics() if row["kind"] == "train"]
        for name in ("fading", "steady")
    )
    shares = [ours / theirs for ours, theirs in zip(fading, steady_rows, strict=True)]
    assert shares == pytest.approx([1, 0.75, 0.5, 0.25], rel=1e-4)
