"""Whether all works here: versions, packages that load, formats written and read back, models that run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from relume.errors import ExitCode
from relume.private import keep_ray_to_itself, lend_folder_to_matplotlib
from relume.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEEDED = {"numpy": "numpy", "onnxruntime": "onnxruntime", "pillow": "PIL", "pyvips": "pyvips"}
"""Packages that every photo takes, and the modules to import."""

EXTRAS = {
    "heif": {"pi-heif": "pi_heif"},
    "jxl": {"pillow-jxl-plugin": "pillow_jxl"},
    "raw": {"rawpy": "rawpy"},
    # Of the package itself only files are read: its code needs torchvision, which need not be there.
    "metrics": {"lpips": "relume.lab.losses.lpips", "safetensors": "safetensors", "torch": "torch"},
    "openvino": {"openvino": "openvino"},
    "tasks": {"dlib-bin": "dlib", "rapidocr": "rapidocr"},
    "video": {"av": "av"},
    "study": {"choix": "choix"},
    "cloud": {"fsspec": "fsspec"},
    "ray": {"fsspec": "fsspec", "pandas": "pandas", "pyarrow": "pyarrow", "ray": "ray"},
    "serve": {
        "fastapi": "fastapi",
        "prometheus-client": "prometheus_client",
        "python-multipart": "python_multipart",
        "uvicorn": "uvicorn",
        "watchfiles": "watchfiles",
    },
    "lab": {
        "torch": "torch",
        "safetensors": "safetensors",
        "pydantic": "pydantic",
        "lupa": "lupa",
        "onnx": "onnx",
        "onnxscript": "onnxscript",
        "optuna": "optuna",
        "torch-pruning": "torch_pruning",
        "scikit-image": "skimage",
        "matplotlib": "matplotlib",
        "opencv-python-headless": "cv2",
        "tensorboard": "tensorboard",
        "pillow-jxl-plugin": "pillow_jxl",
    },
}
"""Packages of the optional extras, likewise."""

_OK = "ok"


def installed() -> dict[str, Any]:
    """Versions of relume, Python, the system and packages, and which extras are installed; loads nothing."""
    versions = _versions()
    return {
        "relume": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "extras": {name: _extra(packages, versions) for name, packages in EXTRAS.items()},
    }


def tried(versions: dict[str, str | None]) -> dict[str, Any]:
    """What works: faults of packages and, where the needed ones load, devices, formats and models.

    Args:
        versions: of packages, as in `installed`.
    """
    faults = _faults(versions)
    sound = faults.keys().isdisjoint(_NEEDED)
    return {
        "faults": faults,
        "devices": _devices() if sound else [],
        "formats": _formats() if sound else {},
        "models": _models() if sound else {},
    }


def exit_code(results: dict[str, Any]) -> ExitCode:
    """How a program ends that has found these results of `tried`."""
    if results["faults"]:
        return ExitCode.MISSING_EXTRA
    if any(result != _OK for result in results["formats"].values()):
        return ExitCode.OUTPUT_UNWRITABLE
    well = results["models"] and all(result == _OK for result in results["models"].values())
    return ExitCode.OK if well else ExitCode.MODEL


def _modules() -> dict[str, str]:
    """Module of each package."""
    return {name: module for group in (_NEEDED, *EXTRAS.values()) for name, module in group.items()}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in _modules():
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _extra(packages: Iterable[str], versions: dict[str, str | None]) -> str:
    missing = [package for package in packages if versions[package] is None]
    if not missing:
        return "installed"
    return "not installed" if len(missing) == len(list(packages)) else f"lacks {', '.join(missing)}"


def _faults(versions: dict[str, str | None]) -> dict[str, str]:
    """What is wrong with packages: those that do not load, and needed ones that are not there."""
    faults: dict[str, str] = {}
    lend_folder_to_matplotlib()
    keep_ray_to_itself(joins=False, here=True)
    for package, module in _modules().items():
        if versions[package] is None:
            if package in _NEEDED:
                faults[package] = "not installed, but needed; install relume again"
            continue
        result = _attempt(lambda name=module: bool(import_module(name)))
        if result != _OK:
            faults[package] = f"installed, but does not load: {result}"
    return faults


def _devices() -> list[str]:
    from relume.models.engines import available_devices

    return available_devices()


def _formats() -> dict[str, str]:
    """Each format that is written: whether a picture comes back from it much as it was."""
    from relume.photo import FORMATS, Photo, encode_photo, read_photo

    picture = _picture(24, 32)

    def kept(name: str) -> bool:
        read = read_photo(encode_photo(Photo(picture), format=name)[0]).rgb_HWC.astype(int)
        return read.shape == picture.shape and abs(read - picture).max() <= 8

    return {name: _attempt(lambda name=name: kept(name)) for name in FORMATS}


def _models() -> dict[str, str]:
    """Each model: whether it brightens a dark picture, keeps its size, and gives the same in tiles."""
    from relume.enhancer import Enhancer
    from relume.models import list_models

    dark = _picture(200, 220)

    def brightens(name: str) -> bool:
        whole = Enhancer(name, tile=0).enhance(dark).astype(int)
        tiled = Enhancer(name, tile=64).enhance(dark).astype(int)
        return whole.shape == dark.shape and whole.mean() > dark.mean() and abs(whole - tiled).max() <= 1

    return {name: _attempt(lambda name=name: brightens(name)) for name in list_models()}


def _picture(height: int, width: int) -> NDArray[Any]:
    """A dark gradient, H x W x 3, uint8."""
    import numpy as np

    ramp = np.linspace(2, 40, height * width).reshape(height, width, 1)
    return np.repeat(ramp.astype(np.uint8), 3, axis=2)


def _attempt(check: Callable[[], bool]) -> str:
    """`ok`, or what went wrong, in a line."""
    try:
        return _OK if check() else "wrong result; install relume again"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the diagnosis
        return " ".join(str(error).split()) or type(error).__name__
