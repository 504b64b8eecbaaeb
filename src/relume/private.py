"""Libraries keep to themselves: no telemetry, and nothing written into the home folder."""

from __future__ import annotations

import os


def refuse_telemetry() -> None:
    """Keep ONNX Runtime from writing a device id into the home folder and from calling its telemetry host.

    It reads this while it is imported, and nothing stops it later; so relume's first import sets it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


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
