"""What may be asked of the inference engine; knows nothing of the engine itself."""

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
"""What a graph can run on, by the name in ``runtime.providers``."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How graphs are run.

    Parameters
    ----------
    threads : int
        Of one inference; more files at once is the better use of processors.
    providers : tuple of str
        Names of `PROVIDERS`, the preferred one first.
    """

    threads: int = 1
    providers: tuple[str, ...] = ("cpu",)
