"""The Python API: arrays, photos and files in; the same kind out."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import relume
from photo import samples
from relume import EnhanceOptions, Enhancer, Photo, read_photo, write_photo
from relume.errors import (
    InputTooLarge,
    InputUnreadable,
    ModelError,
    OutOfResources,
    RelumeError,
    UsageError,
)
from relume.models import list_models, load_card, load_graph, store
from relume.options import DEFAULT_MODEL
from shared import dark


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    return Enhancer()


def test_every_public_name_is_there() -> None:
    for name in relume.__all__:
        assert getattr(relume, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = relume.nothing


# Strength


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_strength_0_is_the_input_bit_for_bit(enhancer: Enhancer, dtype: type) -> None:
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    array = (np.random.default_rng(0).random((30, 40, 3)) * top).astype(dtype)
    result = enhancer.enhance(array, strength=0)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("bits", [8, 16])
def test_strength_grows_evenly(enhancer: Enhancer, bits: int) -> None:
    array = dark(40, 50, bits).astype(int)
    changes = [
        enhancer.enhance(array.astype(f"uint{bits}"), strength=strength).astype(int) - array
        for strength in np.linspace(0, 1, 6)
    ]
    for before, after in pairwise(changes):
        assert (np.abs(after) >= np.abs(before)).all()
    for share, change in zip(np.linspace(0, 1, 6), changes, strict=True):
        assert np.abs(change - share * changes[-1]).max() <= 1.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_auto_leaves_a_well_lit_photo_bit_for_bit(enhancer: Enhancer, dtype: type) -> None:
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    array = (np.random.default_rng(0).random((30, 40, 3)) * top).astype(dtype)
    np.testing.assert_array_equal(enhancer.enhance(array), array)
    assert enhancer.enhance(Photo(dark() * 8)).rgb_HWC.mean() == (dark() * 8).mean()


def test_auto_treats_a_dark_photo_wholly(enhancer: Enhancer) -> None:
    by_number, by_itself = (
        enhancer.enhance(dark(), strength=strength, exposure=0.3) for strength in (1, "auto")
    )
    np.testing.assert_array_equal(by_number, by_itself)
    means = [enhancer.enhance(dark(), strength=strength).mean() / 255 for strength in (1, "auto")]
    assert means[1] == pytest.approx(min(means[0], 0.44), abs=0.01)  # brightens so far and no further
    np.testing.assert_array_equal(relume.enhance(dark()), enhancer.enhance(dark(), strength="auto"))


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), float("inf")])
def test_strengths_out_of_range(enhancer: Enhancer, strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        enhancer.enhance(dark(), strength=strength)


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 2},
        {"strength": -1},
        {"strength": "soft"},
        {"denoise": 1.5},
        {"exposure": -0.5},
        {"exposure": "auto"},
        {"highlight_guard": float("nan")},
        {"colour_guard": 2},
        {"colour_guard": None},
        {"threads": -1},
        {"threads": "2"},
        {"tile": None},
        {"tile": 32.0},
        {"tile": -1},
        {"device": "tpu"},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        relume.enhance(dark(), **options)
    assert caught.value.remedy


# Kinds of images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_arrays_come_back_brighter_in_their_kind(enhancer: Enhancer, dtype: type) -> None:
    whole = np.issubdtype(dtype, np.integer)
    array = (dark(50, 60, 16) / 65535 * (np.iinfo(dtype).max if whole else 1)).astype(dtype)
    kept = array.copy()
    result = enhancer.enhance(array)
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert result.mean() > array.mean()
    np.testing.assert_array_equal(array, kept)


def test_floats_and_integers_agree(enhancer: Enhancer) -> None:
    array = dark(30, 30, 16)
    np.testing.assert_allclose(
        enhancer.enhance(array / 65535), enhancer.enhance(array) / 65535, rtol=0, atol=1e-9
    )


def test_floats_outside_the_range_count_as_its_ends(enhancer: Enhancer) -> None:
    array = dark() / 255
    array[0, 0] = (-1, -0.01, 1.5)
    clean = dark() / 255
    clean[0, 0] = (0, 0, 1)
    np.testing.assert_array_equal(enhancer.enhance(array), enhancer.enhance(clean))


def test_numpys_numbers_and_paths_are_options_too(enhancer: Enhancer, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        enhancer.enhance(dark(), strength=np.float32(0.5)), enhancer.enhance(dark(), strength=0.5)
    )
    assert Enhancer(threads=np.int64(1), tile=np.int32(64)).options.tile == 64
    with pytest.raises(ModelError, match=r"none\.json"):
        Enhancer(tmp_path / "none.json")


@pytest.mark.parametrize("strength", ["auto", 1.0])
def test_what_is_wholly_black_stays_so(enhancer: Enhancer, strength: Any) -> None:
    black = np.zeros((30, 40, 3), np.uint8)
    np.testing.assert_array_equal(enhancer.enhance(black, strength=strength), black)
    assert enhancer.enhance(black + np.uint8(4), strength=1).mean() > 4


@pytest.mark.parametrize("under", [0, 255])
def test_colours_under_transparency_do_not_matter(enhancer: Enhancer, under: int) -> None:
    """A dark cut-out becomes as bright as by itself, and a bright one is left alone."""
    scene = dark(60, 80)
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:44, 20:60] = 255
    for pixels in (scene, np.clip(scene.astype(int) * 8, 0, 255).astype(np.uint8)):
        cut_out = Photo(np.where(alpha[..., None] == 0, under, pixels).astype(np.uint8), alpha)
        alone = Photo(pixels[20:44, 20:60])
        result, expected = enhancer.enhance(cut_out), enhancer.enhance(alone)
        assert (result is cut_out) == (expected is alone)
        ours = result.rgb_HWC[20:44, 20:60].mean()
        assert ours == pytest.approx(expected.rgb_HWC.mean(), rel=0.15)


def test_views_and_foreign_byte_orders_are_fine(enhancer: Enhancer) -> None:
    array = dark(40, 50, 16)
    wanted = enhancer.enhance(array)
    for same in (np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2], array.astype(">u2")):
        same.flags.writeable = False
        np.testing.assert_array_equal(enhancer.enhance(same), wanted)


def test_a_photo_of_a_foreign_byte_order_is_refused() -> None:
    with pytest.raises(UsageError, match="byte order"):
        relume.Photo(dark(9, 9, 16).astype(">u2"))


def test_photos_are_equal_to_themselves_alone() -> None:
    one, other = relume.Photo(dark()), relume.Photo(dark())
    assert one in [other, one]
    assert len({one, other}) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((9,), np.uint8),
        np.zeros((9, 9, 2), np.uint8),
        np.zeros((9, 9, 5), np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((9, 9, 3), np.int64),
        np.zeros((9, 9, 3), bool),
        np.zeros((9, 9, 3), complex),
        np.full((9, 9, 3), 80.0, np.float32),
        np.full((9, 9, 3), np.nan),
        np.full((9, 9, 3), np.inf),
        [[[1, 2, 3]]],
        None,
        b"night.jpg",
        Image.new("CMYK", (9, 9)),
        Image.new("P", (9, 9)),
    ],
    ids=lambda wrong: f"{getattr(wrong, 'dtype', type(wrong).__name__)}{getattr(wrong, 'shape', '')}",
)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_what_is_no_image_is_refused(enhancer: Enhancer, wrong: Any, strength: float) -> None:
    with pytest.raises(UsageError) as caught:
        enhancer.enhance(wrong, strength=strength)
    assert caught.value.remedy


@pytest.mark.parametrize("kind", [str, Path])
def test_files_become_photos(photo: Callable[..., Path], kind: type, enhancer: Enhancer) -> None:
    path = photo("night.jpg", exif=samples.exif(6))
    result = relume.enhance(kind(path))
    assert isinstance(result, Photo)
    assert (result.width, result.height, result.format) == (24, 32, "jpeg")
    np.testing.assert_array_equal(result.rgb_HWC, enhancer.enhance(read_photo(path)).rgb_HWC)
    write_photo(result, path.with_suffix(".png"))
    assert samples.exif_facts(path.with_suffix(".png").read_bytes()) == samples.FACTS


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match=r"missing\.jpg"):
        relume.enhance(tmp_path / "missing.jpg")


def test_results_repeat(enhancer: Enhancer) -> None:
    first = enhancer.enhance(dark())
    np.testing.assert_array_equal(relume.enhance(dark()), first)
    np.testing.assert_array_equal(relume.enhance(Photo(dark())).rgb_HWC, first)


@pytest.mark.parametrize("image", [dark(), Photo(dark())], ids=["array", "photo"])
def test_one_call_takes_all_options(enhancer: Enhancer, image: Any) -> None:
    def pixels(result: Any) -> np.ndarray:
        return result.rgb_HWC if isinstance(result, Photo) else result

    controls: dict[str, Any] = {"strength": 0.5, "exposure": 0.3}
    results = [
        pixels(enhancer.enhance(image, **controls)),
        pixels(Enhancer("lol", downsample=2).enhance(image)),
        pixels(Enhancer("lol", downsample=1).enhance(image)),
    ]
    np.testing.assert_array_equal(pixels(relume.enhance(image, **controls)), results[0])
    np.testing.assert_array_equal(pixels(relume.enhance(image, model="lol", downsample=2)), results[1])
    assert len({result.tobytes() for result in (pixels(enhancer.enhance(image)), *results)}) == 4


def test_one_enhancer_serves_many_threads(enhancer: Enhancer) -> None:
    jobs = [(dark(20 + 9 * seed, 90 - 7 * seed, seed=seed), 1 - seed / 20) for seed in range(8)] * 3

    def work(job: tuple[np.ndarray, float]) -> np.ndarray:
        return enhancer.enhance(job[0], strength=job[1])

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(work, jobs))
    for alone, result in zip(map(work, jobs), together, strict=True):
        np.testing.assert_array_equal(result, alone)


# Models


def test_unknown_models_are_refused_with_a_choice() -> None:
    for name in ("none", "", "../lol", "LOL"):
        with pytest.raises(ModelError, match="lol"):
            Enhancer(name)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped weights, to be damaged."""
    folder = tmp_path / "weights"
    shutil.copytree(str(store.WEIGHTS), folder)
    monkeypatch.setattr(store, "WEIGHTS", folder)
    return folder


@pytest.mark.parametrize("part", ["global", "local"])
def test_a_damaged_graph_is_refused(weights: Path, part: str) -> None:
    graph = weights / f"{DEFAULT_MODEL}.{part}.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelError, match=graph.name):
        Enhancer(precision="float32")
    graph.unlink()
    with pytest.raises(ModelError, match=graph.name):
        Enhancer(precision="float32")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "lol"}', '{"surprise": 1}', "\xff"])
def test_a_damaged_card_is_refused(weights: Path, text: str) -> None:
    (weights / f"{DEFAULT_MODEL}.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError) as caught:
        Enhancer()
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", None),
        ("files", {"lol.local.onnx": 3}),
        ("thumbnail_size", "160"),
        ("size_multiple", 0),
        ("size_multiple", 16.0),
        ("halo", -16),
        ("params", None),
        ("name", 3),
        ("recipe", []),
        ("schema", 3),
        ("schema", "2"),
        ("graphs", {"image": "photo.onnx"}),
        ("graphs", {"global": "a.onnx", "local": 3}),
        ("value_range", [-1, 1]),
        ("variants", [3]),
    ],
)
def test_a_card_of_impossible_values_is_refused(weights: Path, key: str, value: object) -> None:
    file = weights / f"{DEFAULT_MODEL}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(ModelError, match="damaged"):
        Enhancer()


def test_what_a_card_says_beyond_this_version_is_noted_and_ignored(weights: Path) -> None:
    file = weights / "lol.json"
    known = load_card("lol")
    file.write_text(json.dumps({**json.loads(file.read_text()), "colour": "blue", "shape": 3}))
    with pytest.warns(RuntimeWarning, match="does not know: colour, shape"):
        assert load_card("lol") == known


def test_cards_of_the_first_schema_name_their_graphs_by_the_model(weights: Path) -> None:
    file = weights / "lol.json"
    table = json.loads(file.read_text())
    file.write_text(json.dumps({key: table[key] for key in table if key not in ("schema", "graphs")}))
    assert load_card("lol").graphs == {"global": "lol.global.onnx", "local": "lol.local.onnx"}


def test_damaged_models_are_errors_of_relume(weights: Path) -> None:
    card = json.loads((weights / "lol.json").read_text())
    card["files"] = {}
    (weights / "lol.json").write_text(json.dumps(card))
    with pytest.raises(RelumeError):
        load_graph("lol", load_card("lol"), "lol.local.onnx")


@pytest.mark.parametrize("name", ["../lol", "{parent}/lol"])
def test_a_card_names_no_files_of_other_folders(tmp_path: Path, name: str) -> None:
    """Graphs lie beside their card, whatever folder its name and its files point to."""
    shutil.copytree(str(store.WEIGHTS), tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / "lol.json").read_text())
    content["name"] = name.format(parent=tmp_path)
    content["files"] = {
        file.replace("lol", content["name"], 1): digest for file, digest in content["files"].items()
    }
    card = tmp_path / "cards" / "lol.json"
    card.parent.mkdir()
    card.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="the model's file cannot be read"):
        Enhancer(card)


def test_at_least_the_default_model_is_shipped() -> None:
    assert EnhanceOptions().model in list_models()


@pytest.mark.parametrize("name", list_models())
def test_cards_say_what_a_user_must_know(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    others = {file for variant in card.variants for file in variant["graphs"].values()}
    assert set(card.files) == {card.global_graph, card.local_graph} | others
    assert card.params > 0
    assert card.gmacs_256 > 0
    assert card.halo % card.size_multiple == 0
    for field in ("summary", "data", "terms", "limits", "recipe", "metrics"):
        assert getattr(card, field), f"the card of {name} says nothing about: {field}"
    for file in card.files:
        assert b"site-packages" not in load_graph(name, card, file)  # nor anything else of where it was made


# Resources


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (MemoryError(), InputTooLarge, "not enough memory"),
        (RuntimeError("can't start new thread"), OutOfResources, "threads"),
        (OSError(24, "Too many open files"), OutOfResources, "files"),
    ],
)
def test_what_python_says_of_resources_has_true_words(
    enhancer: Enhancer, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type, said: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(enhancer, "_enhance", fails)
    with pytest.raises(kind, match=said):
        enhancer.enhance(dark())


def test_other_errors_are_not_hidden(enhancer: Enhancer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(enhancer, "_enhance", fails)
    with pytest.raises(RuntimeError, match="something else"):
        enhancer.enhance(dark())


# Whatever people hold images in


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_and_alpha_come_back_as_they_went(enhancer: Enhancer, dtype: type) -> None:
    whole = np.issubdtype(dtype, np.integer)
    top = np.iinfo(dtype).max if whole else 1
    rgb = (dark(40, 50, 16) / 65535 * top).astype(dtype)
    alpha = np.full((40, 50, 1), top, dtype)
    alpha[:5] = 0
    rgba = np.concatenate([rgb, alpha], axis=2)
    grey = np.ascontiguousarray(rgb[..., 0])
    for image in (rgba, grey, grey[..., None]):
        result = enhancer.enhance(image, strength=1)
        assert (result.dtype, result.shape) == (image.dtype, image.shape)
        assert result.mean() > image.mean()
        assert enhancer.enhance(image, strength=0) is image
    np.testing.assert_array_equal(enhancer.enhance(rgba, strength=1)[..., 3:], alpha)
    photo = (
        enhancer.enhance(Photo(np.repeat(grey[..., None], 3, axis=2), grey=True), strength=1)
        if whole
        else None
    )
    if photo is not None:
        np.testing.assert_array_equal(enhancer.enhance(grey, strength=1), photo.rgb_HWC[..., 0])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pillow_images_come_back_as_pillow_images(enhancer: Enhancer, mode: str) -> None:
    image = Image.fromarray(dark(40, 50)).convert(mode)
    image.info["dpi"] = (300, 300)
    result = enhancer.enhance(image, strength=1)
    assert (result.mode, result.size, result.info) == (mode, image.size, image.info)
    np.testing.assert_array_equal(np.asarray(result), enhancer.enhance(np.asarray(image), strength=1))
    assert relume.enhance(image, strength=0) is image


def test_an_enhancer_takes_files_as_the_function_does(photo: Callable[..., Path], enhancer: Enhancer) -> None:
    path = photo("night.png")
    for given in (path, str(path)):
        result = enhancer.enhance(given, strength=1)
        assert isinstance(result, Photo)
        np.testing.assert_array_equal(result.rgb_HWC, relume.enhance(path, strength=1).rgb_HWC)


def test_options_are_typed_keywords() -> None:
    names = inspect.signature(relume.enhance).parameters
    assert set(names) == {"image", *EnhanceOptions.__dataclass_fields__}
    assert {name: names[name].default for name in EnhanceOptions.__dataclass_fields__} == {
        name: field.default for name, field in EnhanceOptions.__dataclass_fields__.items()
    }
    with pytest.raises(TypeError, match="sharpness"):
        relume.enhance(dark(), sharpness=1)  # type: ignore[call-overload]


def test_a_photo_shows_no_pixels() -> None:
    shown = repr(Photo(dark(40, 50), np.zeros((40, 50), np.uint8), format="png", notes=("a note",)))
    assert "array" not in shown
    assert "50 x 40" in shown
    assert "a note" in shown
    assert len(shown) < 300
