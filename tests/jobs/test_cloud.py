"""From bucket to bucket, by a server of the S3 protocol on this machine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

from relume.errors import ExitCode, InputUnreadable, OutputUnwritable
from relume.jobs import places
from relume.jobs.inputs import find_anywhere
from relume.jobs.places import location, place_of
from shared import Result
from stores import s3_server

Make = Callable[..., Path]
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with s3_server() as told:
        yield told


@pytest.fixture
def bucket(environment: dict[str, str]) -> Iterator[Any]:
    """An empty bucket, and the file system of its store."""
    import s3fs

    places._systems.cache_clear()
    system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)
    places._systems.cache_clear()


def test_a_folder_of_a_bucket_becomes_another(relume: Run, bucket: Any, photo: Make, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.jpg", "sub/.hidden.png"):
        bucket.pipe_file(f"bucket/in/{name}", photo(f"in/{name}", seed=len(name)).read_bytes())
    bucket.pipe_file("bucket/in/damaged.png", b"damaged")
    here = relume("enhance", tmp_path / "in", "-o", tmp_path / "out", "-r", "-q")
    assert here.code == 0, here.err
    command = ("enhance", "s3://bucket/in", "-o", "s3://bucket/out", "-r", "--json", "--skip-existing")
    there = relume(*command, "--workers", 2)
    assert there.code == ExitCode.BATCH_PARTLY_FAILED, there.err
    assert sorted(line["status"] for line in there.lines) == ["failed", "ok", "ok"]
    found = bucket.find("bucket/out")
    assert found == ["bucket/out/a.png", "bucket/out/sub/b.jpg"]
    for name in ("a.png", "sub/b.jpg"):
        assert bucket.cat_file(f"bucket/out/{name}") == (tmp_path / "out" / name).read_bytes()
    again = relume(*command)
    assert sorted(line["status"] for line in again.lines) == ["failed", "skipped", "skipped"]


def test_a_large_result_is_uploaded_in_parts_and_appears_at_the_end(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = location("s3://bucket/large.bin")
    system = places._systems("s3://bucket/", "")
    content = os.urandom(1 << 20) * 101  # from 100 MiB on, as s3fs has it
    seen: list[str] = []
    call = type(system)._call_s3

    async def watched(self: Any, method: str, *rest: Any, **options: Any) -> Any:
        seen.append(method)
        if method == "complete_multipart_upload":
            assert not await self._exists("bucket/large.bin")
        return await call(self, method, *rest, **options)

    monkeypatch.setattr(type(system), "_call_s3", watched)
    place_of(url).write(url, content)
    assert "complete_multipart_upload" in seen
    assert bucket.cat_file("bucket/large.bin") == content


def test_a_photo_costs_three_requests(
    relume: Run, bucket: Any, photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        bucket.pipe_file(f"bucket/in/{number}.png", photo(f"in/{number}.png", seed=number).read_bytes())
    asked: list[str] = []
    system = type(bucket)
    call = system._call_s3

    async def counted(self: Any, method: str, *rest: Any, **options: Any) -> Any:
        if options.get("Key"):
            asked.append(method)
        return await call(self, method, *rest, **options)

    monkeypatch.setattr(system, "_call_s3", counted)
    done = relume("enhance", "s3://bucket/in/*.png", "-o", "s3://bucket/out/", "-q")
    assert done.code == 0, done.err
    known = Counter(asked)
    assert known["get_object"] == known["put_object"] == 3
    assert known["head_object"] <= 3 + 3  # which the pattern and the output's name take


def test_an_upload_that_fails_leaves_nothing(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = location("s3://bucket/large.bin")
    system = places._systems("s3://bucket/", "")
    call = type(system)._call_s3

    async def failing(self: Any, method: str, *rest: Any, **options: Any) -> Any:
        if method == "upload_part" and options.get("PartNumber", 0) > 1:
            raise TimeoutError("gone")
        return await call(self, method, *rest, **options)

    place_of(url).write(url, b"before")
    monkeypatch.setattr(type(system), "_call_s3", failing)
    with pytest.raises(OutputUnwritable, match="cannot be reached"):
        place_of(url).write(url, bytes(101 << 20))
    monkeypatch.undo()
    assert bucket.cat_file("bucket/large.bin") == b"before"
    uploads = bucket.call_s3("list_multipart_uploads", Bucket="bucket").get("Uploads", [])
    assert uploads == []


def test_no_bucket_no_rights_and_no_store_are_one_line_each(
    relume: Run, bucket: Any, photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo("a.png")
    for command in (("s3://none/in", "-o", "x"), (path, "-o", "s3://none/a.png")):
        done = relume("enhance", *command)
        assert done.code in (ExitCode.INPUT_UNREADABLE, ExitCode.OUTPUT_UNWRITABLE)
        assert "there is no such file, folder or bucket" in done.err
    empty = relume("enhance", "s3://bucket/empty/")
    assert "s3://bucket/empty: there is no such file, folder or bucket" in empty.err
    missing = relume("enhance", "s3://bucket/none.png")
    assert "s3://bucket/none.png: there is no such file" in missing.err
    places._systems.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(places._OPTIONS["s3"], "config_kwargs", {"retries": {"max_attempts": 0}})
    with pytest.raises(InputUnreadable, match="the store cannot be reached"):
        find_anywhere(["s3://bucket/in/a.png"])


def test_objects_that_stand_for_folders_are_no_photos(bucket: Any) -> None:
    """As the store's own page makes them."""
    for key in ("", "sub/"):
        bucket.call_s3("put_object", Bucket="bucket", Key=f"in/{key}", Body=b"")
    for name in ("a.png", "sub/b.png"):
        bucket.pipe_file(f"bucket/in/{name}", b"x")
    for recursive, count in ((False, 1), (True, 2)):
        assert len(find_anywhere(["s3://bucket/in"], recursive=recursive)) == count
    assert len(find_anywhere(["s3://bucket"], recursive=True)) == 2


def test_a_name_with_a_path_upwards_stays_out(bucket: Any) -> None:
    errors: list[InputUnreadable] = []
    for name in ("in/../../up.png", "in//double.png", "in/good.png"):
        bucket.call_s3("put_object", Bucket="bucket", Key=name, Body=b"x")
    found = find_anywhere(["s3://bucket/in"], recursive=True, on_error=errors.append)
    assert [str(url) for url, _ in found] == ["s3://bucket/in/good.png"]
    assert errors
