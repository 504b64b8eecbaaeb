"""Engines run a model's graphs; each knows one runtime."""

from relume.engine.base import Engine
from relume.engine.onnx import OnnxEngine, available_devices

__all__ = ["Engine", "OnnxEngine", "available_devices"]
