"""Engines run a model's graphs; each knows one runtime."""

from relume.models.engines.base import Engine
from relume.models.engines.onnx import OnnxEngine, available_devices

__all__ = ["Engine", "OnnxEngine", "available_devices"]
