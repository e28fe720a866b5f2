"""The options of the inference engine, without the engine itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Provider(NamedTuple):
    """An execution provider: ONNX Runtime's name for it, and the package that brings it."""

    engine_name: str
    package: str


PROVIDERS: Mapping[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", "onnxruntime"),
    "cuda": Provider("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": Provider("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "migraphx": Provider("MIGraphXExecutionProvider", "onnxruntime-migraphx"),
    "openvino": Provider("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "dml": Provider("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": Provider("CoreMLExecutionProvider", "onnxruntime (on macOS)"),
}
"""The devices that a graph can run on, by the name in ``runtime.providers``."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How graphs are run.

    One inference has one thread: several files at once use the processors better.
    """

    threads: int = 1
    providers: tuple[str, ...] = ("cpu",)  # of `PROVIDERS`, the preferred one first
