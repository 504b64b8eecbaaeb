"""The training method of Compact Clarity: who learns what, from whom, and an exact resume of both players."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from relume.errors import ModelError, UsageError
from relume.lab.data.paired import Batch, PairedCrops, load_pairs, to_tensor, training_and_validation
from relume.lab.losses import LOSSES, charbonnier
from relume.lab.losses.contrastive import info_nce
from relume.lab.losses.perceptual import Perceptual
from relume.lab.methods.multi_teacher import MultiTeacher
from relume.lab.methods.pooled import SIDE, PooledFeatures
from relume.lab.networks import build
from relume.lab.recipe import Data, Optimizer, Phase, Recipe, Source, override
from relume.lab.recipes import get_recipe
from relume.lab.run import Run, load_run
from relume.lab.teachers import NetworkTeacher, load_teacher
from relume.lab.training import loop
from relume.lab.training.loop import Trainer, train
from relume.lab.training.schedule import LearningRate

STUDENT = {"width": 16, "groups": [1, 1, 1], "blocks": 1}
SEVEN = {
    "charbonnier": 0.55,
    "frequency": 0.08,
    "perceptual": 0.08,
    "ms-ssim": 0.2,
    "gradient": 0.15,
    "adversarial": 0.001,
    "contrastive": 0.01,
}
TEACHERS: dict[str, Any] = {
    "structure": {
        "network": "mirnet-v2",
        "options": {"n_feat": 16, "n_MRB": 1},
        "weights": "random",
    },
    "illumination": {"network": "zero-dce", "weights": "random"},
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a perceptual backbone; random, since none can be downloaded in a test."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("classifier") / "mobilenet.pth"
    torch.save(Perceptual("mobilenet_v2").state_dict(), path)
    return path


def options(classifier: Path, **changes: Any) -> dict[str, Any]:
    chosen = {
        "teachers": TEACHERS,
        "contrastive": {"teacher": "structure", "embedding": 8},
        "perceptual": {"backbone": "mobilenet_v2", "file": str(classifier)},
        "adversarial": {"loss": "bce"},
    }
    return {**chosen, **changes}


@pytest.fixture
def recipe(tiny_recipe: Recipe, classifier: Path) -> Recipe:
    """All seven terms, both teachers and the discriminator, on images small enough for a test."""
    return replace(
        tiny_recipe,
        network="compact-clarity",
        network_options=STUDENT,
        method="multi-teacher",
        method_options=options(classifier),
        losses={**SEVEN, "imitation-illumination": 0.05},
        phases=(Phase(3, 32, 2), Phase(2, 48, 1, accumulation=2)),
        optimizer=Optimizer(lr=1e-3, warmup=0, schedule="plateau", plateau_patience=0),
        adversary=Optimizer(lr=2e-4, betas=(0.5, 0.999), warmup=0, schedule="plateau", plateau_patience=0),
        checkpoint_every=2,
        validate_every=2,
    )


def batch(size: int = 48) -> Batch:
    high = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    return Batch(high * 0.2, high, high[..., :32, :32] * 0.2)


def test_all_seven_terms_both_teachers_and_the_discriminator(
    recipe: Recipe, tiny_root: Path, tmp_path: Path
) -> None:
    train(recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True)
    rows = [row for row in Run(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert set(SEVEN) | {"imitation-illumination", "discriminator", "lr_discriminator"} <= set(rows[0])
    terms = [*SEVEN, "imitation-illumination"]
    assert rows[0]["loss"] == pytest.approx(sum(rows[0][term] for term in terms))
    assert rows[0]["discriminator"] > 0.5  # near 2 log 2 at the start, and no part of the student's loss


def test_gradients_flow_to_the_student_and_the_projection_heads_only(classifier: Path) -> None:
    torch.manual_seed(0)
    losses = {**SEVEN, "imitation-illumination": 0.05}
    method = MultiTeacher(build("compact-clarity", STUDENT), losses, **options(classifier)).train()
    torch.stack(list(method(batch()).values())).sum().backward()
    assert all(p.grad is not None for p in method.contrast.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.network.parameters())
    assert all(p.grad is None for p in method.adversary.parameters())
    frozen = [*method.teachers.values(), method.paired_terms["perceptual"]]
    assert all(p.grad is None and not p.requires_grad for module in frozen for p in module.parameters())
    before = [p.grad.clone() for p in method.network.parameters() if p.grad is not None]
    method.adversary_loss(batch()).backward()
    assert all(p.grad is not None for p in method.adversary.parameters() if p.requires_grad)
    after = [p.grad for p in method.network.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_terms_of_teachers_by_hand() -> None:
    torch.manual_seed(0)
    contrastive = {
        "teacher": "structure",
        "student_feature": 1,
        "teacher_feature": 0,
        "embedding": 8,
        "temperature": 0.5,
    }
    losses = {"imitation-illumination": 0.3, "contrastive": 0.2}
    student, images = build("compact-clarity", STUDENT), batch()
    method = MultiTeacher(student, losses, teachers=TEACHERS, contrastive=contrastive)
    terms = method(images)
    output, features = student.output_and_features(images.low_BCHW)
    shown = method.teachers["illumination"].output(images)
    torch.testing.assert_close(terms["imitation-illumination"], 0.3 * charbonnier(output, shown))
    theirs = method.teachers["structure"].features(images)[0].mean((2, 3), keepdim=True)
    heads = method.contrast.student_head(features[1]), method.contrast.teacher_head(theirs)
    torch.testing.assert_close(terms["contrastive"], 0.2 * info_nce(*heads, 0.5))


@pytest.mark.parametrize("loss", ["bce", "lsgan"])
def test_both_players_losses_by_hand(loss: str) -> None:
    """The student wants its output called real; the discriminator the target, and the output called false."""
    torch.manual_seed(0)
    student, images = build("zero-dce"), batch()
    adversarial = {"loss": loss, "options": {"width": 4}}
    method = MultiTeacher(student, {"adversarial": 0.25}, adversarial=adversarial)
    method.eval()  # every pass in training goes on estimating the spectral norms
    fake, real = method.adversary(student(images.low_BCHW)), method.adversary(images.high_BCHW)
    if loss == "bce":
        generator = F.softplus(-fake).mean()
        discriminator = (0.9 * F.softplus(-real) + 0.1 * F.softplus(real)).mean() + F.softplus(fake).mean()
    else:
        generator = (fake - 1).square().mean()
        discriminator = ((real - 1).square().mean() + fake.square().mean()) / 2
    torch.testing.assert_close(method(images)["adversarial"], 0.25 * generator)
    torch.testing.assert_close(method.adversary_loss(images), discriminator)


def test_frozen_modules_are_in_no_checkpoint_and_stay_in_evaluation_mode(classifier: Path) -> None:
    method = MultiTeacher(build("compact-clarity", STUDENT), SEVEN, **options(classifier)).train()
    assert not [name for name in method.state_dict() if "teacher" in name and "head" not in name]
    assert not [name for name in method.state_dict() if "perceptual" in name]
    assert not any(teacher.training for teacher in method.teachers.values())


@pytest.mark.parametrize("term", sorted(SEVEN))
def test_every_term_can_be_switched_off(classifier: Path, term: str) -> None:
    losses = {**SEVEN, term: 0.0}
    method = MultiTeacher(build("compact-clarity", STUDENT), losses, **options(classifier)).train()
    assert set(method(batch())) == set(SEVEN) - {term}
    assert (method.adversary is None) == (term == "adversarial")
    assert ("structure" in method.teachers) == (term != "contrastive")


def test_missing_weights_refuse_to_start_and_name_the_remedy(classifier: Path) -> None:
    student = build("compact-clarity", STUDENT)
    nameless = {**TEACHERS, "structure": {"network": "mirnet-v2"}}
    with pytest.raises(ModelError, match=r"has no weights.*method_options\.teachers"):
        MultiTeacher(student, SEVEN, **options(classifier, teachers=nameless))
    with pytest.raises(ModelError, match=r"absent\.pth"):
        MultiTeacher(student, SEVEN, **options(classifier, perceptual={"file": "absent.pth"}))
    with pytest.raises(UsageError, match="no teacher is called"):
        MultiTeacher(student, {"imitation-nobody": 1.0}, **options(classifier))
    with pytest.raises(UsageError, match="too few"):
        MultiTeacher(build("zero-dce"), {"contrastive": 1.0}, **options(classifier))


def _lower(rate: LearningRate, scores: dict[str, float]) -> None:
    rate.factor /= 2


def test_resume_in_the_middle_of_a_phase_restores_both_players(
    recipe: Recipe, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks, optimisers, and schedulers that have lowered their rates: each validation is worse here."""
    monkeypatch.setattr(LearningRate, "after_validation", _lower)
    train(recipe, tiny_root, tmp_path / "whole", device="cpu", quiet=True)
    halved = tmp_path / "halved"
    step = Trainer.train_step

    def interrupted(trainer: Trainer, data: PairedCrops) -> None:
        if trainer.step == 4:
            raise KeyboardInterrupt
        return step(trainer, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tiny_root, halved, device="cpu", quiet=True)
    saved = loop.load_checkpoint(halved)
    assert saved["step"] == 4
    assert [state["rate"]["factor"] for state in (saved, saved["adversary"])] == [0.25, 0.25]
    train(recipe, tiny_root, halved, device="cpu", quiet=True, resume=True)
    whole, again = (load_file(run / "weights.safetensors") for run in (tmp_path / "whole", halved))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    first, second = (loop.load_checkpoint(run) for run in (tmp_path / "whole", halved))
    assert all(torch.equal(first["method"][name], second["method"][name]) for name in first["method"])
    assert (first["rate"], first["adversary"]["rate"]) == (second["rate"], second["adversary"]["rate"])
    rates = [
        [row["lr"] for row in Run(run).metrics() if row["kind"] == "train"]
        for run in (tmp_path / "whole", halved)
    ]
    assert rates[0] == rates[1]


def test_pooled_features_are_computed_once_and_keyed_by_teacher_and_data(
    tiny_root: Path, tmp_path: Path, classifier: Path
) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[0])
    data = PairedCrops(pairs, Data(framing="resize"), 0, 8)
    cache = tmp_path / "cache"
    chosen = options(classifier, contrastive={"teacher": "structure", "embedding": 8, "cache": str(cache)})

    def prepared(seed: int, data: PairedCrops = data) -> MultiTeacher:
        torch.manual_seed(seed)
        method = MultiTeacher(build("compact-clarity", STUDENT), {"contrastive": 1.0}, **chosen)
        method.prepare(data)
        return method

    method = prepared(0)
    first = method.contrast.pooled(data.batch(0, Phase(1, 32, 3)))
    assert len(list(cache.iterdir())) == 1
    stamp = next(cache.iterdir()).stat().st_mtime_ns
    again = prepared(0).contrast.pooled(data.batch(0, Phase(1, 32, 3)))
    assert next(cache.iterdir()).stat().st_mtime_ns == stamp
    assert torch.equal(first, again)
    assert first.shape == (3, 16)
    prepared(1)  # another teacher
    assert len(list(cache.iterdir())) == 2
    pairs[0].low_HWC[0, 0, 0] ^= 1  # other data
    prepared(0, PairedCrops(pairs, Data(framing="resize"), 0, 8))
    assert len(list(cache.iterdir())) == 3


def test_cached_features_are_those_of_the_whole_image(
    tiny_root: Path, tmp_path: Path, classifier: Path
) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[0])
    data = PairedCrops(pairs, Data(framing="resize"), 0, 8)
    teacher = load_teacher(TEACHERS["structure"])
    pooled = PooledFeatures(teacher, 2, tmp_path)
    pooled.prepare(data)
    batch = data.batch(0, Phase(1, 32, 2))
    whole = torch.cat(
        [to_tensor(pair.low_HWC) for name in batch.names for pair in pairs if pair.name == name]
    )
    low = torch.nn.functional.adaptive_avg_pool2d(whole, SIDE)
    expected = teacher.features(Batch(low, low, low))[2].mean((2, 3))
    torch.testing.assert_close(pooled(batch), expected)


def test_features_of_randomly_darkened_images_are_not_kept(tiny_root: Path, tmp_path: Path) -> None:
    source = Source("made", "darkened", "lol_v1/our485", 1.0, "our485_scenes")
    pairs = [
        replace(pair, source=source) for pair in load_pairs(training_and_validation(tiny_root, Data())[0])
    ]
    pooled = PooledFeatures(load_teacher(TEACHERS["structure"]), 2, tmp_path)
    with pytest.raises(UsageError, match=r"darkened at random.*contrastive\.cache"):
        pooled.prepare(PairedCrops(pairs, Data(), 0, 8))


def test_any_network_run_or_graph_can_teach(
    autoencoder: Path, tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(tiny_recipe, tiny_root, run, device="cpu", quiet=True)
    images = batch(32)
    teacher = load_teacher({"run": str(run)})
    assert teacher.output(images).shape == (3, 3, 32, 32)
    assert [maps.shape[1] for maps in teacher.features(images)] == list(teacher.feature_channels)
    graph = load_teacher({"onnx": str(autoencoder.with_suffix(".onnx"))})
    original = load_teacher({"run": str(autoencoder.parent.parent / "run")})
    np.testing.assert_allclose(graph.output(images), original.output(images), atol=1 / 510)
    assert graph.feature_channels == ()
    both = load_teacher({"ensemble": [{"run": str(run)}, {"onnx": str(autoencoder.with_suffix(".onnx"))}]})
    mean = (teacher.output(images) + graph.output(images)) / 2
    np.testing.assert_allclose(both.output(images), mean, atol=1e-6)
    assert both.fingerprint() not in (teacher.fingerprint(), graph.fingerprint())
    for description, said in (({"path": "x"}, "cannot be described"), ({"ensemble": []}, "'ensemble'")):
        with pytest.raises(UsageError, match=said):
            load_teacher(description)


def test_a_teacher_gets_the_thumbnails_that_it_was_trained_with(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the student looks at none: batches bring what the most demanding network wants."""
    train(tiny_recipe, tiny_root, tmp_path / "teacher", device="cpu", quiet=True)
    seen: list[int] = []
    output = NetworkTeacher.output

    def spied(teacher: NetworkTeacher, batch: Batch) -> torch.Tensor:
        seen.append(max(batch.inputs(teacher.network)[1].shape[-2:]))
        return output(teacher, batch)

    monkeypatch.setattr(NetworkTeacher, "output", spied)
    recipe = replace(
        tiny_recipe,
        network="compact-clarity",
        network_options=STUDENT,
        method="multi-teacher",
        method_options={"teachers": {"best": {"run": str(tmp_path / "teacher")}}},
        losses={"charbonnier": 1.0, "imitation-best": 1.0},
        phases=(Phase(1, 32, 2),),
    )
    train(recipe, tiny_root, tmp_path / "student", device="cpu", quiet=True)
    assert seen == [tiny_recipe.network_options["overview_size"]]
    small = Batch(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.rand(1, 3, 64, 64))
    network = load_run(tmp_path / "teacher")[1]
    assert small.inputs(network)[1].shape[-1] == tiny_recipe.network_options["overview_size"]


def test_attention_fusion_sees_the_teacher(classifier: Path) -> None:
    torch.manual_seed(0)
    student = build("compact-clarity", {**STUDENT, "attention_fusion": 2, "teacher_width": 16})
    torch.nn.init.ones_(student.conv_out.weight)  # it starts at zero, which would hide everything before it
    method = MultiTeacher(student, {"charbonnier": 1.0}, **options(classifier, fusion="structure")).train()
    images = batch(32)
    terms = method(images)
    with torch.no_grad():
        theirs = method.teachers["structure"].features(images)[1]  # of the group that the student fuses
        expected = charbonnier(2 * student(images.low_BCHW, theirs) - 1, 2 * images.high_BCHW - 1)
    torch.testing.assert_close(terms["charbonnier"], expected)
    torch.stack(list(terms.values())).sum().backward()
    assert student.fusion.out.weight.grad.abs().sum() > 0


def test_attention_fusion_wants_a_fitting_student_and_teacher(classifier: Path) -> None:
    terms = {"charbonnier": 1.0}
    plain, fused = (
        build("compact-clarity", {**STUDENT, "attention_fusion": group, "teacher_width": 16})
        for group in (0, 2)
    )
    for student, fusion in ((plain, "structure"), (fused, "")):
        with pytest.raises(UsageError, match="only one of the student and the method"):
            MultiTeacher(student, terms, **options(classifier, fusion=fusion))
    with pytest.raises(UsageError, match="'illumination' has 0 features"):
        MultiTeacher(fused, terms, **options(classifier, fusion="illumination"))
    with pytest.raises(ModelError, match="there are 3 residual groups"):
        build("compact-clarity", {**STUDENT, "attention_fusion": 9})


def test_a_teachers_output_can_stand_in_for_the_target() -> None:
    torch.manual_seed(0)
    student, seen = build("zero-dce"), batch()
    method = MultiTeacher(student, {"charbonnier": 1.0}, teachers=TEACHERS, target="illumination")
    taught = method.teachers["illumination"].output(seen)
    expected = charbonnier(2 * student(seen.low_BCHW) - 1, 2 * taught - 1)
    torch.testing.assert_close(method(seen)["charbonnier"], expected)
    unseen = replace(seen, high_BCHW=torch.zeros_like(seen.high_BCHW))
    torch.testing.assert_close(method(unseen)["charbonnier"], expected)
    with pytest.raises(UsageError, match="nobody"):
        MultiTeacher(student, {"charbonnier": 1.0}, teachers=TEACHERS, target="nobody")


def test_pixel_terms_are_taken_on_images_from_minus_one_to_one(classifier: Path) -> None:
    """The range on which the thesis gives their weights; the others do not depend on it."""
    losses = {"gradient": 0.15, "ms-ssim": 0.2}
    method = MultiTeacher(build("compact-clarity", STUDENT), losses, **options(classifier)).train()
    images = batch()
    terms = method(images)
    output = method.network(images.low_BCHW)
    torch.testing.assert_close(terms["gradient"], 0.15 * LOSSES["gradient"](2 * output, 2 * images.high_BCHW))
    torch.testing.assert_close(terms["ms-ssim"], 0.2 * LOSSES["ms-ssim"](output, images.high_BCHW))


def test_the_recipe_is_the_thesiss_schedule_epoch_by_epoch() -> None:
    """With all 485 pairs, as there; the recipe itself leaves the held-out scenes out."""
    recipe = override(get_recipe("compact-clarity"), ["data.subset=all", "data.epoch=485"])
    table: list[tuple[int, int, int, int]] = []
    for step in range(recipe.steps):
        if recipe.ends_epoch(step):
            phase = recipe.phase_at(step)
            table.append((phase.crop, phase.batch, phase.accumulation, recipe.epoch_steps(phase)))
    assert len(table) == 250
    assert set(table[:40]) == {(64, 32, 2, 8)}
    assert set(table[40:80]) == {(128, 16, 2, 16)}
    assert set(table[80:]) == {(256, 4, 2, 61)}
    assert recipe.resolution_changes == [40 * 8, 40 * 8 + 40 * 16]
    assert recipe.losses == SEVEN
    assert (recipe.optimizer.min_lr, recipe.optimizer.plateau_patience) == (1e-7, 7)
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (6.25e-6, 1e-5)
    assert (recipe.adversary.lr, recipe.adversary.betas) == (1.56e-6, (0.5, 0.999))
    assert {recipe.rate_factor(step) for step in (0, 400, 5000)} == {1.0}
    assert override(recipe, ["epochs=41"]).steps == 40 * 8 + 16
    json.dumps(recipe.method_options)


def test_the_rate_changes_with_the_resolution_where_asked() -> None:
    recipe = override(get_recipe("compact-clarity"), ["phases.1.rate_factor=0.5", "phases.2.rate_factor=0.5"])
    assert [recipe.rate_factor(step) for step in (0, 40 * 8, 40 * 8 + 40 * 16)] == [1.0, 0.5, 0.25]
