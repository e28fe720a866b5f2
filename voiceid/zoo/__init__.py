"""The models: where their weights come from, and how they become waveform-in ONNX files."""

from voiceid.zoo.fetch import Progress
from voiceid.zoo.install import ModelStore
from voiceid.zoo.status import InstalledModel, ModelStatus, VerifyResult

__all__ = ["InstalledModel", "ModelStatus", "ModelStore", "Progress", "VerifyResult"]
