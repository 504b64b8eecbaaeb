"""Distillation by features and relations, and without targets: by hand computation, and as methods."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.errors import UsageError
from relume.lab.data.batch import Batch
from relume.lab.data.patterns import BRIGHTEST, DARKEST, noise_images
from relume.lab.losses import charbonnier
from relume.lab.losses.attention_transfer import attention_loss
from relume.lab.losses.relational import relational_loss
from relume.lab.losses.similarity import similarity_loss
from relume.lab.methods import build_method
from relume.lab.methods.feature_terms import FEATURE_LOSSES
from relume.lab.methods.multi_teacher import MultiTeacher
from relume.lab.methods.unsupervised import Unsupervised, quartered, quarters
from relume.lab.networks import build
from relume.lab.recipe import Phase, Recipe
from relume.lab.recipes import get_recipe
from relume.lab.run import Run, load_run
from relume.lab.training.checkpoint import load_checkpoint
from relume.lab.training.loop import train

STUDENT = {"width": 16, "groups": [1, 1, 1], "blocks": 1}
TEACHERS: dict[str, Any] = {
    "structure": {"network": "mirnet-v2", "options": {"n_feat": 16, "n_MRB": 1}, "weights": "random"},
    "illumination": {"network": "zero-dce", "weights": "random"},
}


def maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def batch(size: int = 48) -> Batch:
    high = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    return Batch(high * 0.2, high)


def huber(x: float) -> float:
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def pooled(features: torch.Tensor) -> np.ndarray:
    """Means of 4 x 4 cells, one vector an image."""
    array = features.double().numpy()
    count, channels, height, width = array.shape
    cells = array.reshape(count, channels, 4, height // 4, 4, width // 4).mean((3, 5))
    return cells.reshape(count, -1)


def test_relational_loss_by_hand() -> None:
    ours, theirs = maps(0, 4, 5, 8, 8), 3 * maps(1, 4, 2, 4, 16)
    first, second = pooled(ours), pooled(theirs)

    def distances(points: np.ndarray) -> dict[tuple[int, int], float]:
        found = {(i, j): np.linalg.norm(points[i] - points[j]) for i, j in product(range(4), repeat=2)}
        mean = sum(found.values()) / 12  # of the twelve pairs of different images
        return {key: value / mean for key, value in found.items()}

    def angle(points: np.ndarray, i: int, j: int, k: int) -> float:
        ways = points[j] - points[i], points[k] - points[i]
        lengths = [np.linalg.norm(way) for way in ways]
        return 0.0 if min(lengths) == 0 else float(ways[0] @ ways[1] / lengths[0] / lengths[1])

    both = distances(first), distances(second)
    distance = np.mean([huber(both[0][pair] - both[1][pair]) for pair in both[0]])
    triples = list(product(range(4), repeat=3))
    turned = np.mean([huber(angle(first, *triple) - angle(second, *triple)) for triple in triples])
    assert relational_loss(ours, theirs).item() == pytest.approx(distance + 2 * turned, rel=1e-4)


def test_relations_do_not_change_with_scale_shift_or_width() -> None:
    ours = maps(0, 5, 6, 8, 8)
    wider = torch.cat([ours, ours], 1)
    assert relational_loss(7 * wider + 3, ours).item() == pytest.approx(0, abs=1e-6)
    assert relational_loss(maps(1, 5, 6, 8, 8), ours).item() > 0.01


def test_attention_loss_by_hand() -> None:
    ours, theirs = maps(0, 2, 3, 8, 8), maps(1, 2, 5, 4, 4)
    total = 0.0
    for first, second in zip(ours.numpy(), theirs.numpy(), strict=True):
        looks = (first**2).mean(0).reshape(4, 2, 4, 2).mean((1, 3)).ravel(), (second**2).mean(0).ravel()
        first, second = (look / np.linalg.norm(look) for look in looks)
        total += ((first - second) ** 2).sum()
    assert attention_loss(ours, theirs).item() == pytest.approx(total / 2, rel=1e-5)
    assert attention_loss(5 * theirs, theirs).item() == pytest.approx(0, abs=1e-6)


def test_similarity_loss_by_hand() -> None:
    ours, theirs = maps(0, 3, 4, 5, 6), maps(1, 3, 2, 3, 3)

    def rows(features: torch.Tensor) -> np.ndarray:
        flat = features.double().numpy().reshape(3, -1)
        products = flat @ flat.T
        return products / np.linalg.norm(products, axis=1, keepdims=True)

    expected = ((rows(ours) - rows(theirs)) ** 2).sum() / 9
    assert similarity_loss(ours, theirs).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", sorted(FEATURE_LOSSES))
def test_feature_losses_teach_the_student_alone_and_never_with_nan(name: str) -> None:
    for ours, theirs in (
        (maps(0, 3, 4, 8, 8), maps(1, 3, 2, 8, 8)),
        (torch.zeros(3, 4, 8, 8), maps(1, 3, 2, 8, 8)),  # images that are all alike
        (maps(0, 1, 4, 8, 8), maps(1, 1, 2, 8, 8)),  # a batch of one
    ):
        ours.requires_grad_()
        theirs.requires_grad_()
        loss = FEATURE_LOSSES[name](ours, theirs)
        loss.backward()
        assert loss.isfinite()
        assert ours.grad is not None
        assert ours.grad.isfinite().all()
        assert theirs.grad is None


def test_feature_terms_compare_the_features_that_were_asked_for() -> None:
    torch.manual_seed(0)
    student, images = build("compact-clarity", STUDENT), batch()
    weights = {"charbonnier": 1.0, "relational": 0.5, "attention": 0.25, "similarity": 2.0}
    chosen = {"teacher": "structure", "student_feature": 0, "teacher_feature": 1}
    method = MultiTeacher(student, weights, teachers=TEACHERS, features=chosen)
    assert set(method.teachers) == {"structure"}
    assert set(method.paired_weights) == {"charbonnier"}
    terms = method(images)
    ours = student.output_and_features(images.low_BCHW)[1][0]
    theirs = method.teachers["structure"].features(images)[1]
    for name, loss in FEATURE_LOSSES.items():
        torch.testing.assert_close(terms[name], weights[name] * loss(ours, theirs))


def test_feature_terms_want_features_that_are_there() -> None:
    student = build("compact-clarity", STUDENT)
    for chosen in ({"teacher": "structure", "student_feature": 3}, {"teacher": "illumination"}):
        with pytest.raises(UsageError, match=r"too few.*method_options\.features"):
            MultiTeacher(student, {"relational": 1.0}, teachers=TEACHERS, features=chosen)
    with pytest.raises(UsageError, match=r"method_options\.features: 'teacher'"):
        MultiTeacher(student, {"relational": 1.0}, teachers=TEACHERS)


def test_noise_images_are_dark_and_smooth_as_photographs_are() -> None:
    torch.manual_seed(0)
    images = noise_images(64, 64, 96)
    assert images.shape == (64, 3, 64, 96)
    assert 0 <= images.min() <= images.max() <= 1
    means = images.mean((1, 2, 3))
    assert DARKEST * 0.5 < means.min() < 0.05
    assert 0.2 < means.max() < BRIGHTEST * 1.2
    # Power falls with frequency: neighbours are far more alike than distant pixels.
    centred = images - images.mean((2, 3), keepdim=True)
    near, far = ((centred[..., shift:] - centred[..., :-shift]).square().mean() for shift in (1, 32))
    assert near < far / 4
    assert not torch.equal(images, noise_images(64, 64, 96))


def unsupervised(losses: dict[str, float], **options: Any) -> Unsupervised:
    torch.manual_seed(0)
    return Unsupervised(build("zero-dce"), losses, TEACHERS["illumination"], **options)


def test_terms_without_targets_by_hand() -> None:
    weights = {"imitation": 1.0, "exposures": 0.5, "quarters": 0.25}
    method, images = unsupervised(weights, exposures=3.0), batch()
    torch.manual_seed(7)
    terms = method(images)
    torch.manual_seed(7)
    factors = 4 ** (2 * torch.rand(3, 1, 1, 1) - 1)
    network, low = method.network, images.low_BCHW
    output = network(low)
    taught = method.teachers["teacher"].output(images)
    torch.testing.assert_close(terms["imitation"], charbonnier(output, taught))
    exposed = network((low * factors).clamp(max=1))
    torch.testing.assert_close(terms["exposures"], 0.5 * charbonnier(exposed, output))
    halves = (slice(0, 24), slice(24, 48))
    places = list(product(halves, halves))
    parts = [charbonnier(network(low[..., y, x]), output[..., y, x]) for y, x in places]
    torch.testing.assert_close(terms["quarters"], 0.25 * torch.stack(parts).mean())


def test_what_is_followed_gets_no_gradient() -> None:
    method, images = unsupervised({"quarters": 1.0}), batch()
    followed = quarters(method.network(images.low_BCHW)).detach()
    method(images)["quarters"].backward()
    found = [weight.grad.clone() for weight in method.network.parameters()]
    method.network.zero_grad()
    charbonnier(method.network(quarters(images.low_BCHW)), followed).backward()
    for ours, weight in zip(found, method.network.parameters(), strict=True):
        torch.testing.assert_close(ours, weight.grad)


def test_targets_are_never_looked_at_and_noise_needs_no_photograph() -> None:
    for inputs in ("photographs", "noise"):
        method, images = unsupervised({"imitation": 1.0, "quarters": 1.0}, inputs=inputs), batch()
        found = []
        for low_scale, high_scale in ((1, 1), (1, 0), (0.5, 1)):
            torch.manual_seed(3)
            changed = Batch(images.low_BCHW * low_scale, images.high_BCHW * high_scale)
            found.append({name: term.item() for name, term in method(changed).items()})
        assert found[0] == found[1]
        assert (found[0] == found[2]) == (inputs == "noise")


def test_quarters_are_where_the_student_is_told_that_they_are() -> None:
    network = build(
        "two-pass", {"widths": [16, 16], "depths": [1, 1], "global_width": 4, "overview_size": 32}
    )
    low = torch.rand(2, 3, 16, 24)
    window = torch.tensor([[0.0, 0.5, 0.2, 0.6], [0.0, 1.0, 0.0, 1.0]])
    parts = quartered(Batch(low, low, torch.rand(2, 3, 32, 32), window))
    assert torch.equal(parts.low_BCHW[0], low[0, :, :8, :12])
    assert torch.equal(parts.low_BCHW[5], low[1, :, 8:, :12])
    assert parts.thumbnail_BCST is not None
    assert parts.window_B4 is not None
    assert torch.equal(parts.thumbnail_BCST[2], parts.thumbnail_BCST[0])
    expected = [[0, 0.25, 0.2, 0.4], [0, 0.25, 0.4, 0.6], [0.25, 0.5, 0.2, 0.4], [0.25, 0.5, 0.4, 0.6]]
    torch.testing.assert_close(parts.window_B4[::2], torch.tensor(expected))
    assert network(*parts.inputs(network)).shape == (8, 3, 8, 12)


def test_strange_terms_and_inputs_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no loss is called \['mse'\]"):
        unsupervised({"mse": 1.0})
    with pytest.raises(UsageError, match="cannot see 'x'"):
        unsupervised({"imitation": 1.0}, inputs="x")


def test_a_run_without_targets(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """As any other; the teacher is in no checkpoint."""
    recipe = replace(
        tiny_recipe,
        network="zero-dce",
        network_options={},
        method="unsupervised",
        method_options={"teacher": TEACHERS["illumination"]},
        losses={"imitation": 1.0, "exposures": 0.5, "quarters": 0.5},
        phases=(Phase(2, 32, 2),),
    )
    train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    rows = [row for row in Run(tmp_path).metrics() if row["kind"] == "train"]
    assert {"imitation", "exposures", "quarters"} <= set(rows[0])
    assert not any("teacher" in name for name in load_checkpoint(tmp_path)["method"])


@pytest.mark.parametrize(("name", "count"), [("lol-self", 1), ("lol-ensemble", 3)])
def test_earlier_runs_teach_half_of_the_distance(
    name: str, count: int, tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe, run = get_recipe(name), tmp_path / "run"
    train(tiny_recipe, tiny_root, run, device="cpu", quiet=True)
    described = json.dumps(recipe.method_options)
    assert described.count("runs/lol") == count
    options = json.loads(re.sub(r"runs/lol[-0-9]*", str(run), described))
    torch.manual_seed(0)
    network = build(tiny_recipe.network, tiny_recipe.network_options)
    method = build_method(recipe.method, network, recipe.losses, options).eval()
    images = batch(32)
    terms = method(images)
    output, taught = network(images.low_BCHW), load_run(run)[1](images.low_BCHW).clamp(0, 1)
    torch.testing.assert_close(terms["imitation-earlier"], 0.5 * charbonnier(output, taught))
    half = 0.5 * charbonnier(output, images.high_BCHW)  # up to Charbonnier's rounding near 0
    torch.testing.assert_close(terms["charbonnier"], half, rtol=1e-2, atol=0)
    assert set(terms) == {"charbonnier", "imitation-earlier", "ssim"}
    assert (recipe.phases, recipe.network) == (get_recipe("lol").phases, get_recipe("lol").network)
