"""Libraries keep to themselves: no telemetry, and nothing written into the home folder."""

from __future__ import annotations

import os
import sys
from typing import Any, cast


def refuse_telemetry() -> None:
    """Keep ONNX Runtime and OpenVINO from writing ids into the home folder and from calling their hosts.

    ONNX Runtime reads this while it is imported, and nothing stops it later; so relume's first import sets
    it. OpenVINO does without the package that would tell of its import, where that is not found.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    cast("dict[str, Any]", sys.modules).setdefault("openvino_telemetry", None)


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
