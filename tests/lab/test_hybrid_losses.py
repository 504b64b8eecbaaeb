"""The terms of the hybrid loss, each against an independent statement of it."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from torch.nn import functional as F
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from relume.errors import ModelError, UsageError
from relume.lab.losses import LOSSES, frequency_loss, gradient_loss, ms_ssim, ms_ssim_loss, weighted_losses
from relume.lab.losses.adversarial import ADVERSARIAL, get_adversarial
from relume.lab.losses.contrastive import ProjectionHead, info_nce
from relume.lab.losses.perceptual import BACKBONES, Perceptual, fetch

SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def images(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth picture with texture, and a darker, noisier one; float64, 2 x 3 x H x W."""
    random = np.random.default_rng(0)
    rough = random.random((2, 3, height, width))
    smooth = ndimage.gaussian_filter(rough, (0, 0, 6, 6), mode="wrap")
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    first = 0.8 * smooth + 0.2 * rough
    second = np.clip(0.7 * first + 0.2 * random.random(first.shape), 0, 1)
    return torch.from_numpy(first), torch.from_numpy(second)


def test_frequency_loss_by_hand() -> None:
    first, second = images(24, 31)
    spectra = [np.fft.rfft2(image.numpy()) for image in (first, second)]
    expected = np.abs(np.abs(spectra[0]) - np.abs(spectra[1])).mean()
    assert frequency_loss(first, second).item() == pytest.approx(0.1 * expected)
    assert frequency_loss(first, second, factor=1).item() == pytest.approx(expected)


def test_gradient_loss_agrees_with_scipy() -> None:
    first, second = images(13, 17)
    expected = sum(
        np.abs(sobel_by_scipy(first.numpy(), axis) - sobel_by_scipy(second.numpy(), axis)).mean()
        for axis in (0, 1)
    )
    assert gradient_loss(first, second).item() == pytest.approx(expected)


def sobel_by_scipy(image_BCHW: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Channel by channel: of a whole array scipy's Sobel would smooth channels and images too."""
    return np.stack([[ndimage.sobel(m, axis, mode="nearest") for m in image] for image in image_BCHW])


def ms_ssim_by_hand(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], scales: int) -> float:
    """Of one image C x H x W; scipy's Gaussian filter, cut off at 5 pixels, over the inside."""

    def smooth(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return ndimage.gaussian_filter(x, (0, 1.5, 1.5), truncate=5 / 1.5)[:, 5:-5, 5:-5]

    def halved(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
        return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4

    weights, value = SCALE_WEIGHTS[:scales] / SCALE_WEIGHTS[:scales].sum(), 1.0
    for scale, weight in enumerate(weights, start=1):
        a, b = smooth(first), smooth(second)
        covariance, variances = (
            smooth(first * second) - a * b,
            smooth(first**2) - a**2 + smooth(second**2) - b**2,
        )
        factor = (2 * covariance + 9e-4) / (variances + 9e-4)
        if scale == scales:
            factor = factor * (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
        value *= factor.mean() ** weight
        first, second = halved(first), halved(second)
    return value


@pytest.mark.parametrize(
    ("size", "scales"), [((64, 64), 3), ((96, 128), 4), ((176, 208), 5), ((32, 40), 2), ((16, 12), 1)]
)
def test_ms_ssim_by_hand(size: tuple[int, int], scales: int) -> None:
    first, second = images(*size)
    expected = np.mean(
        [ms_ssim_by_hand(a.numpy(), b.numpy(), scales) for a, b in zip(first, second, strict=True)]
    )
    assert ms_ssim(first, second).item() == pytest.approx(expected, abs=1e-9)
    assert 0.3 < expected < 0.99
    assert ms_ssim_loss(first, second).item() == pytest.approx(1 - expected, abs=1e-9)


def test_ms_ssim_agrees_with_torchmetrics() -> None:
    """Scale by scale exactly; as a whole nearly, since torchmetrics mirrors the coarsest border."""
    first, second = images(256, 256)
    ours = ms_ssim(first, second).item()
    whole = multiscale_structural_similarity_index_measure(first, second, data_range=1.0)
    assert ours == pytest.approx(whole.item(), abs=2e-3)
    product = torch.ones(2, dtype=torch.float64)
    a, b = first, second
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        options = {"data_range": 1.0, "reduction": "none"}
        if scale < len(SCALE_WEIGHTS):
            factor = structural_similarity_index_measure(a, b, return_contrast_sensitivity=True, **options)[1]
        else:
            maps = structural_similarity_index_measure(a, b, return_full_image=True, **options)[1]
            factor = maps[..., 5:-5, 5:-5].mean((1, 2, 3))
        product *= factor ** (weight / SCALE_WEIGHTS.sum())  # they sum to 1.0001
        a, b = (torch.nn.functional.avg_pool2d(image, 2) for image in (a, b))
    assert ours == pytest.approx(product.mean().item(), abs=1e-9)


@pytest.mark.parametrize("name", ["frequency", "gradient", "ms-ssim"])
@pytest.mark.parametrize("case", ["identical", "constant", "black", "inverted"])
def test_gradients_are_finite(name: str, case: str) -> None:
    target = images(64, 64)[0].float()
    prediction = {
        "identical": target.clone(),
        "constant": torch.full_like(target, 0.5),
        "black": torch.zeros_like(target),
        "inverted": 1 - target,
    }[case]
    for wanted in (target, prediction.clone()):
        prediction.requires_grad_().grad = None
        loss = LOSSES[name](prediction, wanted)
        loss.backward()
        assert torch.isfinite(loss)
        assert prediction.grad is not None
        assert torch.isfinite(prediction.grad).all()
        assert prediction.grad.abs().max() < 1


@pytest.mark.parametrize("name", ["frequency", "gradient", "ms-ssim"])
def test_identical_images_have_no_loss(name: str) -> None:
    target = images(64, 64)[0]
    assert LOSSES[name](target, target).item() == pytest.approx(0, abs=1e-12)


def test_negative_structure_still_teaches() -> None:
    target = images(64, 64)[0]
    prediction = (1 - target).requires_grad_()
    loss = ms_ssim_loss(prediction, target)
    assert 0.9 < loss.item() < 1
    coarse = ndimage.zoom(np.random.default_rng(0).random((1, 3, 8, 8)), (1, 1, 8, 8), order=0)
    fine = 0.1 * torch.from_numpy(np.random.default_rng(1).choice([-1.0, 1.0], (1, 3, 64, 64)))
    picture = torch.from_numpy(0.2 + 0.6 * coarse)
    opposed = (picture - fine).requires_grad_()  # right at the coarse scales, inverted at the finest
    ms_ssim_loss(opposed, picture + fine).backward()
    assert opposed.grad is not None
    assert opposed.grad.abs().sum() > 0


def test_methods_add_terms_of_their_own() -> None:
    first, second = images(16, 16)
    terms = {**LOSSES, "largest": lambda a, b: (a - b).abs().max()}
    losses = weighted_losses({"largest": 2.0, "mse": 1.0}, first, second, terms)
    assert losses["largest"].item() == pytest.approx(2 * (first - second).abs().max().item(), rel=1e-5)
    with pytest.raises(UsageError, match="no loss is called"):
        weighted_losses({"largest": 1.0}, first, second)


def test_perceptual_refuses_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "socket", unexpected)
    monkeypatch.setattr(socket, "getaddrinfo", unexpected)
    for backbone, file in (("vgg19", "vgg19-dcbb9e9d.pth"), ("mobilenet_v2", "mobilenet_v2-b0353104.pth")):
        with pytest.raises(ModelError, match=f"{file}: .*are not on this machine.*--allow-download"):
            Perceptual.load(backbone, "")
    assert not (tmp_path / "hub").exists()
    with pytest.raises(ModelError, match="there is no file"):
        Perceptual.load(file=tmp_path / "missing.pth")
    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        Perceptual.load(file=tmp_path / "damaged.pth")


def unexpected(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked")


def test_perceptual_weights_are_fetched_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring(address: str, target: str, hash_prefix: str, progress: bool) -> None:
        assert (address, hash_prefix) == (BACKBONES["mobilenet_v2"].address, "b0353104")
        torch.save(Perceptual("mobilenet_v2").state_dict(), target)

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ModelError, match=r"could not be downloaded.*mobilenet_v2-b0353104.pth elsewhere"):
        fetch("mobilenet_v2")
    monkeypatch.setattr(torch.hub, "download_url_to_file", bring)
    fetch("mobilenet_v2")
    monkeypatch.setattr(torch.hub, "download_url_to_file", unexpected)
    assert fetch("mobilenet_v2").is_file()
    assert Perceptual.load("mobilenet_v2").features


def test_perceptual_never_runs_pickled_code(tmp_path: Path) -> None:
    torch.save({"features.0.weight": Path("code")}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        Perceptual.load(file=tmp_path / "code.pth")


def test_perceptual_names_unknown_parts() -> None:
    with pytest.raises(UsageError, match="no backbone is called 'vgg99'"):
        Perceptual("vgg99")
    with pytest.raises(UsageError, match="no layer of vgg19 is called 'relu9_9'"):
        Perceptual("vgg19", "relu9_9")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("backbone", "layer"),
    [("vgg19", None), ("vgg19", "conv3_4"), ("mobilenet_v2", None), ("mobilenet_v2", "block3")],
)
def test_perceptual_loads_a_file(tmp_path: Path, suffix: str, backbone: str, layer: str | None) -> None:
    torch.manual_seed(0)
    source = Perceptual(backbone)
    state = {**source.state_dict(), "classifier.0.bias": torch.zeros(3)}
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loss = Perceptual.load(backbone, path, layer)
    first, second = (image.float() for image in images(48, 40))
    assert loss(first, first).item() == 0
    if layer is None:
        assert loss(first, second).item() == source(first, second).item()
    prediction = second.clone().requires_grad_()
    value = loss(prediction, first)
    value.backward()
    assert value.item() > 0
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert prediction.grad.abs().sum() > 0
    assert all(not p.requires_grad and p.grad is None for p in loss.parameters())
    with pytest.raises(ModelError, match="not those of"):
        Perceptual.load("vgg19" if backbone == "mobilenet_v2" else "mobilenet_v2", path)


def test_vgg19_has_the_published_layout() -> None:
    shapes = {name: tuple(value.shape) for name, value in Perceptual().state_dict().items()}
    widths = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
    widths |= {10: (256, 128), 12: (256, 256), 14: (256, 256), 16: (256, 256)}
    expected = {f"features.{index}.weight": (*width, 3, 3) for index, width in widths.items()}
    expected |= {f"features.{index}.bias": width[:1] for index, width in widths.items()}
    assert shapes == expected
    assert sum(value.numel() for value in Perceptual().state_dict().values()) == 2_325_568


def test_mobilenet_has_torchvisions_layout() -> None:
    shapes = {name: tuple(value.shape) for name, value in Perceptual("mobilenet_v2").state_dict().items()}
    weights = {name: shape for name, shape in shapes.items() if len(shape) == 4}
    assert {name: shape for name, shape in weights.items() if name < "features.3"} == {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.2.weight": (24, 96, 1, 1),
    }
    assert len(weights) == 1 + 2 + 5 * 3
    assert shapes["features.0.1.running_var"] == (32,)
    assert shapes["features.1.conv.2.bias"] == (16,)
    assert shapes["features.2.conv.3.weight"] == (24,)


@pytest.mark.parametrize("layer", ["relu3_4", "conv3_4"])
def test_vgg19_computes_what_was_published(layer: str) -> None:
    """Two, two and four convolutions with ReLU, the first two groups halved by their largest values."""
    torch.manual_seed(0)
    loss, image = Perceptual("vgg19", layer), torch.rand(1, 3, 24, 20)
    weights = iter(loss.features.parameters())
    maps = image
    for group, convolutions in enumerate((2, 2, 4)):
        maps = F.max_pool2d(maps, 2) if group else maps
        for _ in range(convolutions):
            maps = F.relu(before := F.conv2d(maps, next(weights), next(weights), padding=1))
    torch.testing.assert_close(loss.features(image), maps if layer == "relu3_4" else before)


def test_mobilenets_blocks_add_where_shapes_agree() -> None:
    torch.manual_seed(0)
    loss, image = Perceptual("mobilenet_v2"), torch.rand(1, 3, 48, 40)
    maps = loss.features[0](image)
    added = []
    for block in loss.features[1:]:
        change = block.conv(maps)
        added.append(change.shape == maps.shape)
        maps = maps + change if added[-1] else change
    assert added == [False, False, True, False, True, True]
    assert maps.shape == (1, 32, 6, 5)
    torch.testing.assert_close(loss.features(image), maps)


def test_mobilenets_older_names_are_the_same_weights(tmp_path: Path) -> None:
    """Conv-BN-ReLU6 in a row, as in tonylins/pytorch-mobilenet-v2, instead of nested."""
    torch.manual_seed(0)
    source = Perceptual("mobilenet_v2")
    places = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
    wider = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
    older: dict[str, torch.Tensor] = {"classifier.1.bias": torch.zeros(3)}
    for name, value in source.state_dict().items():
        block, _, inner = name.removeprefix("features.").partition(".conv.")
        place, _, parameter = inner.rpartition(".")
        known = places if block == "1" else wider
        older[f"features.{block}.conv.{known[place]}.{parameter}" if inner else name] = value
    torch.save(older, tmp_path / "older.pt")
    assert "features.6.conv.7.running_mean" in older
    loaded = Perceptual.load("mobilenet_v2", tmp_path / "older.pt")
    for name, value in source.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_perceptual_normalises_as_imagenet() -> None:
    loss = Perceptual("mobilenet_v2")
    loss.features = torch.nn.Sequential()
    zeros, ones = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert loss(ones, zeros).item() == pytest.approx(np.mean([1 / 0.229, 1 / 0.224, 1 / 0.225]), rel=1e-5)


def test_info_nce_by_hand() -> None:
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(5, 8)), random.normal(size=(5, 8))
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (student, teacher)]
    powers = np.exp(units[0] @ units[1].T / 0.07)
    expected = -np.log(np.diag(powers) / powers.sum(1)).mean()
    loss = info_nce(torch.from_numpy(student), torch.from_numpy(teacher))
    assert loss.item() == pytest.approx(expected)


def test_info_nce_wants_the_same_image() -> None:
    teacher = torch.eye(4, 8)
    assert info_nce(teacher, teacher).item() < 1e-5
    assert info_nce(teacher.roll(1, 0), teacher).item() > 10
    assert info_nce(teacher[:1], teacher[1:2]).item() == 0
    blank = torch.zeros(4, 8, requires_grad=True)
    info_nce(blank, teacher).backward()
    assert blank.grad is not None
    assert torch.isfinite(blank.grad).all()


def test_projection_head_pools_any_size_to_unit_length() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(6, embedding=5)
    embedding = head(torch.rand(3, 6, 9, 4))
    assert embedding.shape == (3, 5)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))
    maps = torch.rand(1, 6, 1, 1)
    torch.testing.assert_close(head(maps), head(maps.expand(1, 6, 8, 8)))


def test_adversarial_losses_by_hand() -> None:
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(2, 1, 4, 4)), random.normal(size=(2, 1, 4, 4))
    logits = torch.from_numpy(real), torch.from_numpy(fake)
    of_real, of_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    smoothed = -(0.9 * np.log(of_real) + 0.1 * np.log(1 - of_real)).mean()
    bce, lsgan = ADVERSARIAL["bce"], ADVERSARIAL["lsgan"]
    assert bce.discriminator(*logits).item() == pytest.approx(smoothed - np.log(1 - of_fake).mean())
    assert bce.generator(logits[1]).item() == pytest.approx(-np.log(of_fake).mean())
    expected = 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()
    assert lsgan.discriminator(*logits).item() == pytest.approx(expected)
    assert lsgan.generator(logits[1]).item() == pytest.approx(((fake - 1) ** 2).mean())


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_adversaries_pull_against_each_other(name: str) -> None:
    losses = get_adversarial(name)
    real, fake = torch.full((1, 4), 0.8), torch.full((1, 4), 0.5, requires_grad=True)
    (down,) = torch.autograd.grad(losses.discriminator(real, fake), fake)
    (up,) = torch.autograd.grad(losses.generator(fake), fake)
    assert (down > 0).all()
    assert (up < 0).all()


def test_unknown_adversarial_losses_are_refused() -> None:
    with pytest.raises(UsageError, match="no adversarial loss is called 'hinge'"):
        get_adversarial("hinge")
