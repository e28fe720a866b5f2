"""Every error that voiceid raises, each with its own exit code and a hint.

A message says what is wrong and where; ``hint`` says what to do.  Exit codes are part of the
public interface: docs/reference.md lists them.  A rejection is not an error: it is a `Decision`.
"""

from __future__ import annotations

from typing import ClassVar


class VoiceIDError(Exception):
    """Base of every error of this package.

    Parameters
    ----------
    message : str
        What is wrong, and where.
    hint : str, optional
        What to do about it; the class's default hint when omitted.
    """

    exit_code: ClassVar[int] = 20
    """The exit code of the command line; each class has its own."""
    default_hint: ClassVar[str] = ""
    """What to do, if the error is raised without a hint."""

    def __init_subclass__(cls, *, exit_code: int | None = None, hint: str | None = None) -> None:
        cls.exit_code = cls.exit_code if exit_code is None else exit_code
        cls.default_hint = cls.default_hint if hint is None else hint

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What is wrong, and where."""
        self.hint = self.default_hint if hint is None else hint
        """What to do about it; may be empty."""

    @property
    def code(self) -> str:
        """Stable machine-readable name: the class name."""
        return type(self).__name__

    def to_dict(self) -> dict[str, object]:
        """Return ``{"error", "message", "hint", "exit_code"}``: the public JSON of an error."""
        return {
            "error": self.code,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class ConfigError(VoiceIDError, exit_code=21):
    """A setting is unknown, malformed or out of range."""


class AudioError(VoiceIDError, exit_code=22):
    """Audio could not be read or used."""


class AudioNotFound(AudioError, exit_code=23):
    """The file does not exist, may not be read, or is a directory."""


class AudioUnreadable(AudioError, exit_code=24):
    """The bytes are empty, truncated, corrupt, or not audio."""


class AudioTooLong(AudioError, exit_code=25):
    """Decoding reached a limit of duration or size."""


class AudioInvalid(AudioError, exit_code=26):
    """The samples cannot be a recording: not finite, wrong shape, impossible rate."""


class NotEnoughSpeech(AudioError, exit_code=27):
    """The audio has too little speech for an embedding."""


class ChannelsDiffer(AudioError, exit_code=28):
    """The channels of a recording hold different people, and their mix is the voice of none."""


class ModelError(VoiceIDError, exit_code=30):
    """A model could not be loaded or run."""


class ModelUnknown(
    ModelError, exit_code=31, hint="`voiceid models list` shows the available models."
):
    """There is no model card with that name."""


class ModelNotInstalled(ModelError, exit_code=32):
    """The model is not installed, and may not be downloaded now."""


class DownloadFailed(ModelError, exit_code=33):
    """The package with the weights could not be downloaded."""


class HashMismatch(ModelError, exit_code=34):
    """The hash of a file is not the expected one."""


class CheckpointInvalid(ModelError, exit_code=35):
    """A checkpoint is hostile, truncated, or not the network that its card names."""


class SelfTestFailed(ModelError, exit_code=36):
    """A built model gives wrong embeddings; it was not installed."""


class ModelRuntimeError(ModelError, exit_code=37):
    """The inference engine could not load or run a graph."""


class SpaceMismatch(ModelError, exit_code=38):
    """Two vectors belong to different embedding spaces."""


class ThresholdUnavailable(
    ModelError, exit_code=39, hint="`voiceid calibrate` measures thresholds on your own recordings."
):
    """There is no threshold for this model; without one no speaker is accepted."""


class EnrollmentRefused(VoiceIDError, exit_code=40):
    """The clips do not make a safe enrolment; nothing was changed."""

    def __init__(self, message: str, *, report: object, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report
        """The :class:`EnrollmentReport`, with all problems."""


class SpeakerNotFound(
    VoiceIDError, exit_code=41, hint="`voiceid speakers list` shows who is enrolled."
):
    """No speaker of that name is enrolled."""


class SpeakerExists(VoiceIDError, exit_code=42):
    """The name is already used."""


class SpeakerNameInvalid(VoiceIDError, exit_code=43):
    """The name is empty, too long, or has characters that cannot be shown."""


class EnrollmentIncomplete(VoiceIDError, exit_code=44):
    """Some of many speakers or clips were not enrolled; the others were enrolled."""


class ManifestInvalid(VoiceIDError, exit_code=45):
    """A list of people and recordings is malformed; the message names every wrong line."""


class Unhealthy(VoiceIDError, exit_code=46):
    """An examination found a problem that prevents voiceid from working."""


class SpeakerDetailInvalid(VoiceIDError, exit_code=47):
    """A group, a label, metadata or an expiry is invalid."""


class SampleNotFound(
    VoiceIDError, exit_code=48, hint="`voiceid samples list NAME` shows the samples of a speaker."
):
    """The speaker has no sample with that number."""


class ChangeRefused(VoiceIDError, exit_code=49):
    """A change would join two voices, or leave a speaker without a sample; nothing was changed."""


class GalleryFileInvalid(VoiceIDError, exit_code=55):
    """A file is not an export of speakers, or is damaged; nothing was imported."""


class TrialsInvalid(VoiceIDError, exit_code=56):
    """A list of trials or recordings is malformed, or gives no trials; nothing was evaluated."""


class ExtraMissing(
    VoiceIDError, exit_code=57, hint="Install it with `pip install 'voiceid[plots]'`."
):
    """A library that only this command needs is not installed."""


class FileNotWritten(VoiceIDError, exit_code=58):
    """An output file exists already, or cannot be written; nothing was changed."""


class GateMissed(VoiceIDError, exit_code=59):
    """An evaluation found more errors than the requested limit; its report was written."""


class FitRefused(VoiceIDError, exit_code=60):
    """The recordings are too few for a calibration or an adaptation, or it does not help."""


class FitNotFound(VoiceIDError, exit_code=61):
    """There is no calibration or adaptation with that number."""


class ErasureIncomplete(VoiceIDError, exit_code=62):
    """The change was made, but removed bytes remain in a file, which the message names."""

    def __init__(self, message: str, *, remains: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.remains = remains
        """The places, each in a sentence."""


class TranscriptInvalid(
    VoiceIDError,
    exit_code=63,
    hint=(
        "Pass SubRip (.srt), WebVTT (.vtt), or the JSON of Whisper, WhisperX, faster-whisper or"
        " whisper.cpp."
    ),
):
    """A transcript cannot be read, or its format is unknown; nothing was written."""


class ApiKeyInvalid(VoiceIDError, exit_code=64):
    """A key to the service cannot be created with these options."""


class ApiKeyNotFound(VoiceIDError, exit_code=65, hint="`voiceid keys list` shows the keys."):
    """There is no key with that id."""


class AccessDenied(VoiceIDError, exit_code=66):
    """The caller may not do that: the key is missing, wrong, expired, or for another purpose."""


class LockedOut(VoiceIDError, exit_code=67):
    """After too many failed attempts no decisions are made for some time; no audio was heard."""

    def __init__(self, message: str, *, retry_after_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        """Seconds until an attempt is possible again."""


class ConsentMissing(VoiceIDError, exit_code=72):
    """A speaker has no consent in force, but the settings require one; nothing was changed."""


class ReceiptInvalid(VoiceIDError, exit_code=73):
    """A file is not a receipt of an erasure, was changed, or belongs to another gallery."""


class SignatureInvalid(VoiceIDError, exit_code=76):
    """A backup or an export was changed, or is not signed by this gallery; nothing was imported."""


class StoreError(VoiceIDError, exit_code=50):
    """The database could not be opened, read or written."""


class SchemaTooNew(
    StoreError, exit_code=51, hint="Install a newer voiceid, or use another data folder."
):
    """The database was written by a newer voiceid; it was not changed."""


class SchemaOutdated(StoreError, exit_code=52, hint="Run `voiceid database upgrade`."):
    """The database was written by an older voiceid, and must be upgraded first."""


class StoreBusy(
    StoreError,
    exit_code=53,
    hint="Try again; if it continues, look for a process that hangs during a write.",
):
    """Another process held the database for longer than the busy timeout."""


class StoreUnreachable(StoreError, exit_code=69):
    """The database server cannot be reached, or was disconnected; nothing was changed."""


class StoreReadOnly(StoreError, exit_code=77):
    """The database can be read but not written: the disk is full, or it is read-only."""


class IndexFault(StoreError, exit_code=54, hint="Run `voiceid index rebuild`."):
    """The vector index could not be built or searched."""


class GalleryKeyMissing(
    StoreError, exit_code=68, hint="Restore the key to its place (docs/privacy.md)."
):
    """The key of a protected gallery is missing, or belongs to another gallery."""


class AuditBroken(
    StoreError,
    exit_code=75,
    hint="Check who may write to the database; an older backup may show the original rows.",
):
    """Rows of the audit chain were changed, removed or inserted."""
