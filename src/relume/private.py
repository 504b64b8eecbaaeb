"""Libraries keep to themselves: no telemetry, and nothing written into the home folder."""

from __future__ import annotations

import os
import sys


def refuse_telemetry() -> None:
    """Keep ONNX Runtime and OpenVINO from writing ids into the home folder and from calling their hosts.

    ONNX Runtime reads this while it is imported, and nothing stops it later; so relume's first import sets
    it. OpenVINO does without the package that would tell of its import, where that is not found.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType] - as documented


def keep_ray_to_itself(*, joins: bool, here: bool) -> None:
    """Keep Ray from reporting its use, from leaving a key in the home folder and from listening to a network.

    It reads this while it is imported, or when it starts a cluster.

    Args:
        joins: a cluster that somebody else started, whose key is found where they put it.
        here: the cluster is on 127.0.0.1 alone.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_PROMPT_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if here:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # whatever it says, on every system
    if not joins and not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        import secrets

        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def lend_folder_to_matplotlib() -> None:
    """Let matplotlib keep its list of fonts in a folder that goes with the process; the user's, if named."""
    if os.environ.get("MPLCONFIGDIR"):
        return
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="relume-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["MPLCONFIGDIR"] = folder
