"""Engines run a model's graphs; each knows one runtime."""

from relume.models.engines.base import Engine
from relume.models.engines.choice import is_fast_at_int8, load_engine
from relume.models.engines.onnx import OnnxEngine, available_devices

__all__ = ["Engine", "OnnxEngine", "available_devices", "is_fast_at_int8", "load_engine"]
