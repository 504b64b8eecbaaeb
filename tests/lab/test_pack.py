"""Packs: the same training data in a few large files, read without libvips."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from relume.errors import DataError, OutputExists, UsageError
from relume.lab.data.pack import pack
from relume.lab.data.packed import open_pack
from relume.lab.data.paired import load_pairs, training_and_validation
from relume.lab.recipe import Data, Recipe, Source, to_json
from relume.lab.training.loop import train
from relume.photo import Photo, write_photo

PLAIN = Data()
LIMIT = 3_700


@pytest.fixture(scope="module")
def packed(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_root` in three parts."""
    out = tmp_path_factory.mktemp("packed") / "tiny"
    done = pack(tiny_root, PLAIN, out, LIMIT)
    assert (done.parts, done.images) == (3, 12)
    sizes = [sum(file.stat().st_size for file in part.iterdir()) for part in sorted(out.iterdir())]
    assert max(sizes) <= LIMIT
    assert sum(sizes) == done.size
    return out


def test_a_pack_holds_what_training_reads(tiny_root: Path, packed: Path) -> None:
    wanted = training_and_validation(tiny_root, PLAIN)
    parts = sorted(packed.iterdir())
    for roots in (packed, [packed], parts, parts[::-1]):
        for ours, theirs in zip(training_and_validation(roots, PLAIN), wanted, strict=True):
            assert [pair.name for pair in ours] == [pair.name for pair in theirs]
            assert [pair.low.stem for pair in ours] == [pair.low.stem for pair in theirs]
            for one, other in zip(load_pairs(ours), load_pairs(theirs), strict=True):
                assert (one.low_HWC == other.low_HWC).all()
                assert (one.high_HWC == other.high_HWC).all()


def test_training_from_a_pack_ends_in_the_same_weights(
    tiny_root: Path, packed: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    for name, roots in (("root", tiny_root), ("pack", packed)):
        train(tiny_recipe, roots, tmp_path / name, device="cpu", quiet=True)
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("root", "pack"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_parts_that_are_missing_damaged_or_of_another_pack_are_named(
    tiny_root: Path, packed: Path, tmp_path: Path
) -> None:
    parts = sorted(packed.iterdir())
    with pytest.raises(DataError, match="of 3 parts of the pack number 2 is missing"):
        open_pack([parts[0], parts[2]])
    other = tmp_path / "other"
    pack(tiny_root, replace(PLAIN, pairs="lol_v1/our485"), other, 1 << 20)
    (other / "part-000" / "index.json").write_text(
        json.dumps({**json.loads((other / "part-000" / "index.json").read_text()), "pack": "x"})
    )
    with pytest.raises(DataError, match="another pack"):
        open_pack([*parts, other])
    images = tmp_path / "copy" / "images.safetensors"
    images.parent.mkdir()
    (images.parent / "index.json").write_bytes((parts[0] / "index.json").read_bytes())
    images.write_bytes((parts[0] / images.name).read_bytes()[:-1])
    with pytest.raises(DataError, match="missing or damaged"):
        open_pack([images.parent, *parts[1:]])
    (images.parent / "index.json").write_text("[]")
    with pytest.raises(DataError, match="not an index of a pack"):
        open_pack([images.parent, *parts[1:]])
    assert open_pack(tiny_root) is None


def test_a_pack_of_another_recipe_and_several_roots_are_refused(
    tiny_root: Path, packed: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the pack has no list of pairs of sice_part1"):
        training_and_validation(packed, Data(pairs="sice_part1"))
    with pytest.raises(DataError, match="none is a part of a pack"):
        training_and_validation([tiny_root, tmp_path], PLAIN)
    with pytest.raises(OutputExists):
        pack(tiny_root, PLAIN, packed, 1 << 20)
    with pytest.raises(DataError, match="larger than a part"):
        pack(tiny_root, PLAIN, tmp_path / "small", 1_500)


def test_lists_and_odd_files_are_packed_too(tmp_path: Path) -> None:
    """16 bits, which Pillow would read otherwise, go as 8 bits; JPEG and JPEG XL keep their bytes."""
    pytest.importorskip("pillow_jxl")
    folder = tmp_path / "clean"
    folder.mkdir()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 32, 3), np.uint8)
    write_photo(Photo(pixels.astype(np.uint16) * 257), folder / "deep.png")
    Image.fromarray(pixels).save(folder / "new.jxl", lossless=True)
    Image.fromarray(pixels).save(folder / "old.jpg", quality=90)
    (folder / "clean.csv").write_text("file,split\ndeep.png,train\nnew.jxl,train\nold.jpg,held_out\n")
    data = Data(sources=(Source("clean", "identity", "clean", 1.0, "", list_file="clean.csv"),))
    pack(tmp_path, data, tmp_path / "pack", 1 << 20)
    training, validation = training_and_validation(tmp_path / "pack", data)
    assert [pair.name for pair in validation] == ["clean: clean/old"]
    for pair in load_pairs(training):
        assert (pair.low_HWC == pixels).all()
    stored = load_file(tmp_path / "pack" / "part-000" / "images.safetensors")
    for name in ("new.jxl", "old.jpg"):
        assert stored[f"clean/{name}"].numpy().tobytes() == (folder / name).read_bytes()


NEEDED = (
    # PyTorch with what it needs, NumPy, Pillow, safetensors
    *("torch", "torchgen", "functorch", "numpy", "numpy.libs", "PIL", "pillow.libs", "safetensors"),
    *("sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec", "filelock", "typing_extensions.py"),
    # small wheels
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection"),
    *("rich", "markdown_it", "mdurl", "pygments", "array_api_compat"),
)


def test_a_machine_without_libvips_and_typer_trains_from_a_pack(
    packed: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    """As in an environment that holds nothing but the packages that the documents name."""
    packages = tmp_path / "packages"
    packages.mkdir()
    spec = find_spec("torch")
    site = Path(str(spec.origin)).parents[1] if spec else tmp_path
    for name in NEEDED:
        if (site / name).exists():
            (packages / name).symlink_to(site / name)
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(source)])}
    (tmp_path / "recipe.json").write_text(to_json(tiny_recipe))
    run = tmp_path / "run"
    for command in ("import pyvips", "import typer", "import onnxruntime", "import tensorboard"):
        alone = subprocess.run([sys.executable, "-S", "-c", command], env=environment, capture_output=True)
        assert b"ModuleNotFoundError" in alone.stderr
    parts = [word for part in sorted(packed.iterdir()) for word in ("--data", part)]
    command = [sys.executable, "-S", "-m", "relume.lab", "train", tmp_path / "recipe.json", "-o", run, "-q"]
    done = subprocess.run([*command, *parts, "--max-file-mib", "1"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert {"weights.safetensors", "weights-half.safetensors"} <= {path.name for path in run.iterdir()}
    again = subprocess.run([*command, *parts], env=environment, capture_output=True)
    assert again.returncode == 6
    assert b"holds a run already" in again.stderr


def test_a_time_without_a_step_is_refused(packed: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not suffice"):
        train(tiny_recipe, packed, tmp_path / "run", device="cpu", quiet=True, minutes=1e-6)
    assert not (tmp_path / "run").exists()
