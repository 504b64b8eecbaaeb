"""A node for ComfyUI that makes dark pictures readable: put this folder into `ComfyUI/custom_nodes`.

It needs relume in ComfyUI's own Python (`python -m pip install relume`), and downloads nothing. Pictures come
and go as ComfyUI has them: float32 in [0, 1], batch x height x width x 3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch

from relume import Enhancer
from relume.models import list_models
from relume.options import Controls

_DEFAULT = Controls()


@lru_cache(maxsize=2)
def _loaded(model: str) -> Enhancer:
    return Enhancer(model)


def _slider(default: float) -> tuple[str, dict[str, float]]:
    return "FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": 0.05}


class RelumeEnhance:
    """Enhances dark pictures; see `relume enhance --help` for what the controls do."""

    CATEGORY = "image/postprocessing"
    RETURN_TYPES: ClassVar = ("IMAGE",)
    FUNCTION = "enhance"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What ComfyUI shows; `automatic` lets well-lit pictures alone, whatever `strength` says."""
        return {
            "required": {
                "image": ("IMAGE",),
                "model": (sorted(list_models(), key=lambda name: name != "photo"),),
                "automatic": ("BOOLEAN", {"default": True}),
                "strength": _slider(1.0),
                "denoise": _slider(_DEFAULT.denoise),
                "highlight_guard": _slider(_DEFAULT.highlight_guard),
                "colour_guard": _slider(_DEFAULT.colour_guard),
            }
        }

    def enhance(
        self,
        image: torch.Tensor,
        model: str,
        automatic: bool,
        strength: float,
        denoise: float,
        highlight_guard: float,
        colour_guard: float,
    ) -> tuple[torch.Tensor]:
        """One picture after another, each judged by itself."""
        enhancer = _loaded(model)
        results = [
            enhancer.enhance(
                picture.numpy(),
                strength="auto" if automatic else strength,
                denoise=denoise,
                highlight_guard=highlight_guard,
                colour_guard=colour_guard,
            )
            for picture in image.cpu().float().clamp(0, 1)
        ]
        return (torch.from_numpy(np.stack(results)).to(image.device),)


NODE_CLASS_MAPPINGS = {"RelumeEnhance": RelumeEnhance}
NODE_DISPLAY_NAME_MAPPINGS = {"RelumeEnhance": "Enhance dark picture (relume)"}
