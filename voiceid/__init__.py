"""Enrol people by voice and tell who is speaking.

    from voiceid import VoiceID

    with VoiceID.open("data") as vid:
        vid.enroll("alice", ["a1.wav", "a2.wav", "a3.wav"])
        decision = vid.identify("door.mp3")
        if decision.accepted and decision.speaker.name == "alice":
            ...

``import voiceid`` loads nothing: a name is imported from its module when it is first asked
for (PEP 562), so that a program which only wants an exception's name does not wait for an
inference engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiceid.audio import AudioSource
    from voiceid.client import VoiceID
    from voiceid.config import Config
    from voiceid.decision.adaptation import StoredAdaptation
    from voiceid.decision.calibration import (
        CalibratedPoint,
        Calibration,
        Conditions,
        HeldOut,
        StoredCalibration,
        Weight,
    )
    from voiceid.decision.rule import OperatingPoint
    from voiceid.decision.transforms import Transform
    from voiceid.domain import (
        Band,
        Candidate,
        Condition,
        DatabaseUrl,
        Decision,
        EmbeddedClip,
        Embedding,
        EmbeddingSpace,
        EnrollmentClip,
        EnrollmentProblem,
        EnrollmentReport,
        Finding,
        Health,
        Inspection,
        Likeness,
        Merge,
        Migration,
        ModelChange,
        Outcome,
        QualityReport,
        Reason,
        Sample,
        Speaker,
        SpeakerDetails,
        SpeakerRef,
        Split,
        Standing,
        Task,
        Threshold,
        Utterance,
    )
    from voiceid.enrollment import Person
    from voiceid.errors import (
        AudioError,
        AudioInvalid,
        AudioNotFound,
        AudioTooLong,
        AudioUnreadable,
        ChangeRefused,
        CheckpointInvalid,
        ConfigError,
        DownloadFailed,
        EnrollmentIncomplete,
        EnrollmentRefused,
        ErasureIncomplete,
        ExtraMissing,
        FitNotFound,
        FitRefused,
        GalleryFileInvalid,
        GateMissed,
        HashMismatch,
        IndexFault,
        ManifestInvalid,
        ModelError,
        ModelNotInstalled,
        ModelRuntimeError,
        ModelUnknown,
        NotEnoughSpeech,
        PictureNotWritten,
        SampleNotFound,
        SchemaOutdated,
        SchemaTooNew,
        SelfTestFailed,
        SpaceMismatch,
        SpeakerDetailInvalid,
        SpeakerExists,
        SpeakerNameInvalid,
        SpeakerNotFound,
        StoreBusy,
        StoreError,
        ThresholdUnavailable,
        TrialsInvalid,
        Unhealthy,
        VoiceIDError,
    )
    from voiceid.evaluation import Evaluation, Protocol, Recording
    from voiceid.evaluation.comparison import Comparison, SideResult
    from voiceid.evaluation.fitting import RateRow
    from voiceid.exchange import Exchanged
    from voiceid.index.base import IndexStatus
    from voiceid.models.add import Addition
    from voiceid.models.cards import ModelCard
    from voiceid.models.fetch import Progress
    from voiceid.models.install import ModelStore
    from voiceid.models.status import InstalledModel, ModelStatus, VerifyResult
    from voiceid.observability import ChangeKind, EventFormatter
    from voiceid.observability.galleries import GalleryStats, SpaceStats
    from voiceid.observability.stats import DecisionCount, Histogram, Stats
    from voiceid.resources.adaptations import Adapted
    from voiceid.resources.calibrations import CalibrationFit
    from voiceid.store.copying import Copied
    from voiceid.store.restore import Restored
    from voiceid.store.upgrade import SchemaState, SchemaStatus

__version__ = "0.1.0"

__all__ = [
    "Adapted",
    "Addition",
    "AudioError",
    "AudioInvalid",
    "AudioNotFound",
    "AudioSource",
    "AudioTooLong",
    "AudioUnreadable",
    "Band",
    "CalibratedPoint",
    "Calibration",
    "CalibrationFit",
    "Candidate",
    "ChangeKind",
    "ChangeRefused",
    "CheckpointInvalid",
    "Comparison",
    "Condition",
    "Conditions",
    "Config",
    "ConfigError",
    "Copied",
    "DatabaseUrl",
    "Decision",
    "DecisionCount",
    "DownloadFailed",
    "EmbeddedClip",
    "Embedding",
    "EmbeddingSpace",
    "EnrollmentClip",
    "EnrollmentIncomplete",
    "EnrollmentProblem",
    "EnrollmentRefused",
    "EnrollmentReport",
    "ErasureIncomplete",
    "Evaluation",
    "EventFormatter",
    "Exchanged",
    "ExtraMissing",
    "Finding",
    "FitNotFound",
    "FitRefused",
    "GalleryFileInvalid",
    "GalleryStats",
    "GateMissed",
    "HashMismatch",
    "Health",
    "HeldOut",
    "Histogram",
    "IndexFault",
    "IndexStatus",
    "Inspection",
    "InstalledModel",
    "Likeness",
    "ManifestInvalid",
    "Merge",
    "Migration",
    "ModelCard",
    "ModelChange",
    "ModelError",
    "ModelNotInstalled",
    "ModelRuntimeError",
    "ModelStatus",
    "ModelStore",
    "ModelUnknown",
    "NotEnoughSpeech",
    "OperatingPoint",
    "Outcome",
    "Person",
    "PictureNotWritten",
    "Progress",
    "Protocol",
    "QualityReport",
    "RateRow",
    "Reason",
    "Recording",
    "Restored",
    "Sample",
    "SampleNotFound",
    "SchemaOutdated",
    "SchemaState",
    "SchemaStatus",
    "SchemaTooNew",
    "SelfTestFailed",
    "SideResult",
    "SpaceMismatch",
    "SpaceStats",
    "Speaker",
    "SpeakerDetailInvalid",
    "SpeakerDetails",
    "SpeakerExists",
    "SpeakerNameInvalid",
    "SpeakerNotFound",
    "SpeakerRef",
    "Split",
    "Standing",
    "Stats",
    "StoreBusy",
    "StoreError",
    "StoredAdaptation",
    "StoredCalibration",
    "Task",
    "Threshold",
    "ThresholdUnavailable",
    "Transform",
    "TrialsInvalid",
    "Unhealthy",
    "Utterance",
    "VerifyResult",
    "VoiceID",
    "VoiceIDError",
    "Weight",
]

_ELSEWHERE = {
    "Adapted": "voiceid.resources.adaptations",
    "Addition": "voiceid.models.add",
    "AudioSource": "voiceid.audio",
    "CalibratedPoint": "voiceid.decision.calibration",
    "Calibration": "voiceid.decision.calibration",
    "CalibrationFit": "voiceid.resources.calibrations",
    "ChangeKind": "voiceid.observability",
    "Comparison": "voiceid.evaluation.comparison",
    "Conditions": "voiceid.decision.calibration",
    "Copied": "voiceid.store.copying",
    "Config": "voiceid.config",
    "DecisionCount": "voiceid.observability.stats",
    "Evaluation": "voiceid.evaluation",
    "EventFormatter": "voiceid.observability",
    "Exchanged": "voiceid.exchange",
    "GalleryStats": "voiceid.observability.galleries",
    "HeldOut": "voiceid.decision.calibration",
    "Histogram": "voiceid.observability.stats",
    "IndexStatus": "voiceid.index.base",
    "InstalledModel": "voiceid.models.status",
    "ModelCard": "voiceid.models.cards",
    "ModelStatus": "voiceid.models.status",
    "ModelStore": "voiceid.models.install",
    "OperatingPoint": "voiceid.decision.rule",
    "Person": "voiceid.enrollment",
    "Progress": "voiceid.models.fetch",
    "Protocol": "voiceid.evaluation",
    "RateRow": "voiceid.evaluation.fitting",
    "Recording": "voiceid.evaluation",
    "Restored": "voiceid.store.restore",
    "SchemaState": "voiceid.store.upgrade",
    "SchemaStatus": "voiceid.store.upgrade",
    "SideResult": "voiceid.evaluation.comparison",
    "SpaceStats": "voiceid.observability.galleries",
    "Stats": "voiceid.observability.stats",
    "StoredAdaptation": "voiceid.decision.adaptation",
    "StoredCalibration": "voiceid.decision.calibration",
    "Transform": "voiceid.decision.transforms",
    "VerifyResult": "voiceid.models.status",
    "VoiceID": "voiceid.client",
    "Weight": "voiceid.decision.calibration",
}
_DOMAIN = frozenset(
    {
        "Band",
        "Candidate",
        "Condition",
        "DatabaseUrl",
        "Decision",
        "EmbeddedClip",
        "Embedding",
        "EmbeddingSpace",
        "EnrollmentClip",
        "EnrollmentProblem",
        "EnrollmentReport",
        "Finding",
        "Health",
        "Inspection",
        "Likeness",
        "Merge",
        "Migration",
        "ModelChange",
        "Outcome",
        "QualityReport",
        "Reason",
        "Sample",
        "Speaker",
        "SpeakerDetails",
        "SpeakerRef",
        "Split",
        "Standing",
        "Task",
        "Threshold",
        "Utterance",
    }
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    default = "voiceid.domain" if name in _DOMAIN else "voiceid.errors"
    value = getattr(import_module(_ELSEWHERE.get(name, default)), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
