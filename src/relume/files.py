"""Files: read with errors that name them, written completely or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable, OutputExists, OutputUnwritable

_PIECE = 1 << 20
_LONGEST_TEXT = 256 << 20
_DESCRIPTORS = Path("/proc/self/fd")


def read_at_most(file: IO[bytes], most: int) -> bytes:
    """So many bytes of a file, or all that it holds; by pieces, as one call would reserve memory for all."""
    data = bytearray()
    while piece := file.read(min(_PIECE, most - len(data))):
        data += piece
    return bytes(data)


def _raise(error: InputUnreadable) -> NoReturn:
    raise error


def files_in(
    folder: Path, *, recursive: bool = False, on_error: Callable[[InputUnreadable], object] = _raise
) -> Iterator[Path]:
    """What lies in a folder, in any order, but for folders; what is hidden is passed over.

    Args:
        recursive: look into its folders, too.
        on_error: takes what cannot be read, while the rest continues; raises it by default.

    Raises:
        InputUnreadable: a folder may not be read.
    """

    def unreadable(error: OSError) -> None:
        reason = f"the folder cannot be read ({error.strerror})"
        on_error(InputUnreadable(reason, "Check its permissions.", path=error.filename))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        InputUnreadable: missing, or may not be read.
        InputTooLarge: beyond what any file of relume's has.
        InputInvalid: no text.
    """
    try:
        with path.open("rb") as file:
            data = read_at_most(file, _LONGEST_TEXT + 1)
        if len(data) > _LONGEST_TEXT:
            raise InputTooLarge("this is too long for a text file", "Name another file.", path=path)
        return data.decode().replace("\r\n", "\n")
    except OSError as error:
        raise InputUnreadable(f"cannot be read ({error.strerror})", "Check the name.", path=path) from error
    except ValueError as error:
        raise InputInvalid("this is not text", "Name a text file.", path=path) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputUnreadable: missing, or may not be read.
        InputInvalid: no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"this is not JSON ({error})", "Name a JSON file.", path=path) from error


def write_file(target: Path, content: str | bytes) -> None:
    """Write a file, completely or not at all; text as UTF-8, with bytes of names that are not text escaped.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    with replacing(target) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def check_target(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse a file that could not be written later, before the work for it is done.

    Args:
        target: where something is to be written, with `write_file`.
        inputs: files that it must not replace; those that do not exist do not matter.

    Raises:
        OutputExists: it is one of the inputs.
        OutputUnwritable: no such folder, no permission, or a folder or a device of that name.
    """
    with suppress(_Enough), replacing(target):
        raise _Enough
    if target.exists() and any(each.exists() and target.samefile(each) for each in inputs):
        raise OutputExists("would be overwritten, but is an input", "Choose another name.", path=target)


class _Enough(Exception):
    """Leaves a file unwritten."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be made or written into later, before the work for it is done.

    Raises:
        OutputUnwritable: no permission or space, no valid name, or a file of that name or of one above it.
    """
    there = folder
    while not _is_there(there):
        there = there.parent
    if not there.is_dir():
        raise _no_folder(NotADirectoryError(), folder)
    try:
        with suppress(_Enough), replacing(there / ".relume"):
            raise _Enough
    except OutputUnwritable as error:
        error.path = there
        raise


def holds_anything(folder: Path) -> bool:
    """Whether a folder, which need not be there, holds a file or a folder.

    Raises:
        OutputUnwritable: a file of that name, or it may not be looked into.
    """
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _no_folder(error, folder, "used") from error


def _is_there(folder: Path) -> bool:
    """Whether anything is of that name, if it is one that can be."""
    try:
        folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise _no_folder(error, folder) from error
    return True


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in.

    Raises:
        OutputUnwritable: no permission, or a file of that name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _no_folder(error, folder) from error


def _no_folder(error: OSError | ValueError, folder: Path, done: str = "made") -> OutputUnwritable:
    if os.path.isfile(folder):  # noqa: PTH113 - takes any name
        said = "there is a file of that name"
    elif isinstance(error, NotADirectoryError):
        said = "a folder above it is a file"
    else:
        said = getattr(error, "strerror", None) or "the name is not a valid one"
    return OutputUnwritable(
        f"the folder cannot be {done} ({said})", "Name another output folder.", path=folder
    )


@contextmanager
def replacing(target: Path, *, in_place: bool = False, durable: bool = False) -> Generator[BinaryIO]:
    """A new file that takes the place of `target` when the block ends well, and is gone otherwise.

    It grows without a name, or under a temporary one where the system has no nameless files.

    Args:
        target: a file, there or not, in a folder that exists.
        in_place: keep the permissions of the file that is replaced and, where allowed, its owner and extended
            attributes; where `target` is a link, replace what it points to. Always durable.
        durable: have the new file on the disk before it takes the old one's place, so that not even a power
            cut leaves neither.

    Raises:
        OutputUnwritable: no such folder, no permission or space, or a folder or a device of that name.
    """
    _check_target(target)
    if in_place:
        target = target.resolve()
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.partial")
    try:
        nameless = _nameless_file(target.parent)
        # Opened so rather than by `tempfile`, which would keep the file from other users.
        file = nameless or partial.open("x+b")
    except (OSError, ValueError) as error:
        raise _unwritable(error, target) from error
    try:
        with file:
            if in_place and os.name == "posix" and target.exists():
                _take_over(file, target)
            yield file
            file.flush()
            if in_place or durable:
                os.fsync(file.fileno())
            if nameless:
                # The descriptor of a folder goes unused, but makes Python call what follows the link.
                os.link(_DESCRIPTORS / str(file.fileno()), partial, src_dir_fd=file.fileno())
        if in_place or durable:
            _sync_folder(target.parent)
        partial.replace(target)
        if in_place or durable:
            _sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise _unwritable(error, target) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system and the disk can."""
    with suppress(OSError):  # Windows opens no folders, and some disks sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def path_of(file: BinaryIO) -> Path:
    """A path under which this process can open a file of `replacing` once more, for what writes by name."""
    name: Any = file.name
    return _DESCRIPTORS / str(name) if isinstance(name, int) else Path(name)


def _take_over(file: BinaryIO, old: Path) -> None:
    """Give a file another's permissions and, where allowed, its owner and extended attributes."""
    status = old.stat()
    with suppress(OSError):
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
    with suppress(OSError, AttributeError):  # neither every system nor every disk has attributes
        for name in os.listxattr(old):
            with suppress(OSError):
                os.setxattr(file.fileno(), name, os.getxattr(old, name))


def _nameless_file(folder: Path) -> BinaryIO | None:
    """A file that vanishes with a killed process; None where the system or the folder's disk has none."""
    if not hasattr(os, "O_TMPFILE") or not _DESCRIPTORS.exists():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except OSError:
        return None


def _check_target(target: Path) -> None:
    """Refuse to put a file in the place of a folder, a pipe or a device (replacing would delete it)."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise _unwritable(error, target) from error
    if what := no_file(mode):
        raise OutputUnwritable(f"this is {what}, not a file", "Name a file to write.", path=target)


def no_file(mode: int) -> str:
    """What is no regular file, by its mode, in words; nothing for a file."""
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"


def _unwritable(error: OSError | ValueError, target: Path) -> OutputUnwritable:
    if isinstance(error, FileNotFoundError) and not target.parent.exists():
        reason, remedy = f"there is no folder {target.parent}", "Create the folder first."
    elif isinstance(error, FileNotFoundError):  # said by systems of files that are none, such as /proc
        reason, remedy = f"the folder {target.parent} takes no files", "Choose another folder."
    elif isinstance(error, PermissionError):
        reason, remedy = (
            "the folder may not be written to",
            "Choose another folder, or change its permissions.",
        )
    else:
        said = getattr(error, "strerror", None) or "the name is not a valid file name"
        reason, remedy = (
            f"the file cannot be written ({said})",
            "Check the name, the disk and its free space.",
        )
    return OutputUnwritable(reason, remedy, path=target)
