"""Shards: the same batches as from folders, read as they are drawn."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from relume.errors import DataError, OutputExists
from relume.lab.darkness import Darkness
from relume.lab.data import streamed
from relume.lab.data.packed import open_pack
from relume.lab.data.paired import load_pairs, training_and_validation
from relume.lab.data.shard import shard
from relume.lab.data.shards import INDEX, read_index
from relume.lab.data.streamed import StreamedCrops, load_crops
from relume.lab.recipe import Data, Phase, Recipe, Source
from relume.lab.training import loop
from relume.lab.training.ahead import Ahead
from relume.lab.training.loop import train
from shared import digest

PLAIN = Data(exposure_jitter=0.2)
LIMIT = 20_000


@pytest.fixture(scope="module")
def shards(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_root` in several shards."""
    out = tmp_path_factory.mktemp("sharded") / "tiny"
    done = shard(tiny_root, PLAIN, out, LIMIT, seed=1)
    assert (done.samples, len(done.images)) == (6, 12)
    assert len(done.shards) > 1
    for name, about in done.shards.items():
        assert (out / name).stat().st_size == about["size"] <= LIMIT
        assert digest(out / name) == about["sha256"]
    return out


def same(one: Any, other: Any) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("low_BCHW", "high_BCHW", "thumbnail_BCST", "window_B4")
    )


def test_a_shard_is_as_webdataset_wants_it(shards: Path) -> None:
    """Files of a sample lie together, named by a key and, from the first dot on, by what they are."""
    keys: list[str] = []
    for path in sorted(shards.glob("shard-*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            for low, high, about in zip(names[::3], names[1::3], names[2::3], strict=True):
                key = low.partition(".")[0]
                assert [low, high, about] == [f"{key}.low.png", f"{key}.high.png", f"{key}.json"]
                told = json.loads(tar.extractfile(about).read())  # type: ignore[union-attr]
                assert told["list"] == "lol_v1/our485"
                keys.append(told["name"])
    assert len(set(keys)) == 6
    assert keys != sorted(keys)


def test_webdataset_reads_it(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted(shards.glob("shard-*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert len(samples) == 6
    assert all(sample["low.png"].shape == sample["high.png"].shape == (48, 64, 3) for sample in samples)


def test_the_order_is_the_seeds(tiny_root: Path, shards: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        shard(tiny_root, PLAIN, tmp_path / str(seed), LIMIT, seed=seed)
    known, same_seed, other = (
        [digest(path) for path in sorted(folder.iterdir())]
        for folder in (shards, tmp_path / "1", tmp_path / "2")
    )
    assert known == same_seed
    assert known != other


@pytest.mark.parametrize("data", [PLAIN, Data(passes=True), Data(framing="resize")], ids=str)
def test_batches_are_those_of_the_folders(tiny_root: Path, shards: Path, data: Data) -> None:
    folder, held_out = load_crops(tiny_root, data, 3, 16)
    stream, also_held_out = load_crops(shards, data, 3, 16)
    assert isinstance(stream, StreamedCrops)
    for index in (0, 7, 2):
        assert same(folder.batch(index, Phase(1, 24, 4)), stream.batch(index, Phase(1, 24, 4)))
    for one, other in zip(held_out, also_held_out, strict=True):
        assert (one.name, one.low_HWC.tobytes()) == (other.name, other.low_HWC.tobytes())
    assert (folder.dark_image(1) == stream.dark_image(1)).all()


def test_a_rank_reads_its_share_alone(tiny_root: Path, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(pair: Any, *rest: Any) -> Any:
        read.append(pair.low)
        return load_pairs([pair])[0]

    monkeypatch.setattr(streamed, "load_pair", counted)
    phase = Phase(1, 24, 4)
    whole = load_crops(tiny_root, Data(passes=True), 3, 16)[0].batch(0, phase)
    for rank in range(2):
        read.clear()
        stream, _ = load_crops(shards, Data(passes=True), 3, 16, rank=rank, ranks=2)
        batch = stream.batch(0, phase)
        assert torch.equal(batch.low_BCHW, whole.low_BCHW[2 * rank : 2 * rank + 2])
        assert len(read) == 2


def test_what_was_read_last_is_kept_within_the_limit(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, _ = training_and_validation(shards, PLAIN)
    size = 2 * 48 * 64 * 3
    read: list[str] = []

    def counted(pair: Any) -> Any:
        read.append(pair.name)
        return load_pairs([pair])[0]

    monkeypatch.setattr(streamed, "load_pair", counted)
    for kept, expected in ((4 * size, 4), (2 * size, 8), (0, 8)):
        read.clear()
        stream = StreamedCrops(pairs, PLAIN, 0, kept=kept)
        for position in (0, 1, 2, 3, 0, 1, 2, 3):
            stream.dark_image(position)
        assert len(read) == expected


def test_processes_make_the_same_batches_ahead(shards: Path) -> None:
    phase = Phase(1, 24, 2)
    stream, _ = load_crops(shards, PLAIN, 3, 16)
    alone = [stream.batch(index, phase).low_BCHW for index in range(4)]
    ahead = Ahead(load_crops(shards, PLAIN, 3, 16)[0], workers=2)  # type: ignore[arg-type]
    try:
        made = [ahead.batch(index, phase).low_BCHW for index in range(4)]
    finally:
        ahead.close()
    assert all(torch.equal(one.half().float(), other) for one, other in zip(alone, made, strict=True))


def test_training_from_shards_ends_in_the_same_weights_interrupted_or_not(
    tiny_root: Path, shards: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_recipe, tiny_root, tmp_path / "root", device="cpu", quiet=True)
    step = loop.Trainer.train_step

    def interrupted(trainer: loop.Trainer, data: loop.Batches) -> None:
        if trainer.step == 4:
            raise KeyboardInterrupt
        step(trainer, data)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_recipe, shards, tmp_path / "shards", device="cpu", quiet=True)
    train(tiny_recipe, shards, tmp_path / "shards", device="cpu", quiet=True, resume=True)
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("root", "shards"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_lists_lengths_and_means_are_kept(tmp_path: Path, neutral: Darkness) -> None:
    """Frames that are shrunk, darkened or left out for their mean are those of the folder."""
    from PIL import Image

    folder = tmp_path / "data" / "clean"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["file,split"]
    for number, bright in enumerate((0.9, 0.1, 0.8, 0.7, 0.9)):
        pixels = (random.random((40, 60, 3)) * 255 * bright).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{'held_out' if number == 4 else 'train'}")
    (folder / "clean.csv").write_text("\n".join(rows) + "\n")
    source = Source(
        "clean", "darkened", "clean", 1.0, "", list_file="clean.csv", longest=48, least_mean=0.3,
        darkness=neutral,
    )  # fmt: skip
    data = Data(sources=(source,))
    shard(tmp_path / "data", data, tmp_path / "shards", 1 << 20, seed=0)
    folders, held_out = load_crops(tmp_path / "data", data, 0, 8)
    stream, also = load_crops(tmp_path / "shards", data, 0, 8)
    assert stream.subjects == folders.subjects
    assert len(stream.subjects) == 3
    assert same(folders.batch(1, Phase(1, 24, 3)), stream.batch(1, Phase(1, 24, 3)))
    assert [each.low_HWC.tobytes() for each in held_out] == [each.low_HWC.tobytes() for each in also]


def test_shards_that_are_missing_or_cut_are_named(tiny_root: Path, shards: Path, tmp_path: Path) -> None:
    read_index.cache_clear()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shards.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    first = copy / "shard-000000.tar"
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"shard-000000\.tar: the shard is missing or not whole"):
        open_pack(copy)
    (copy / INDEX).write_text("[]")
    with pytest.raises(DataError, match="not an index of shards"):
        open_pack(copy)
    with pytest.raises(OutputExists):
        shard(tiny_root, PLAIN, shards, LIMIT, seed=0)
    with pytest.raises(DataError, match="no list of pairs of sice_part1"):
        training_and_validation(shards, replace(PLAIN, pairs="sice_part1"))


def test_an_interrupted_shard_leaves_none(tiny_root: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shard(tiny_root, PLAIN, tmp_path / "out", 1 << 20, 0, stop)
    assert list((tmp_path / "out").iterdir()) == []
