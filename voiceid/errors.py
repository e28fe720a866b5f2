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
    """What the command line exits with; each class has its own."""
    default_hint: ClassVar[str] = ""
    """What to do, where the error is raised without a hint of its own."""

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


class ConfigError(VoiceIDError):
    """A setting is unknown, malformed or out of range."""

    exit_code = 21


class AudioError(VoiceIDError):
    """Audio could not be taken in."""

    exit_code = 22


class AudioNotFound(AudioError):
    """There is no such file, it may not be read, or it is a directory."""

    exit_code = 23


class AudioUnreadable(AudioError):
    """The bytes are empty, truncated, corrupt, or not audio."""

    exit_code = 24


class AudioTooLong(AudioError):
    """A limit on duration or size was met while decoding."""

    exit_code = 25


class AudioInvalid(AudioError):
    """The samples cannot be a recording: not finite, wrong shape, absurd rate."""

    exit_code = 26


class NotEnoughSpeech(AudioError):
    """The audio holds too little speech to make an embedding."""

    exit_code = 27


class ChannelsDiffer(AudioError):
    """Channels of one recording hold different people, and their mix is of neither."""

    exit_code = 28


class ModelError(VoiceIDError):
    """A model could not be had or run."""

    exit_code = 30


class ModelUnknown(ModelError):
    """No card of that name."""

    exit_code = 31
    default_hint = "`voiceid models list` shows the models that there are."


class ModelNotInstalled(ModelError):
    """The model's artefact is not here and may not be fetched now."""

    exit_code = 32


class DownloadFailed(ModelError):
    """The package that carries the weights could not be fetched."""

    exit_code = 33


class HashMismatch(ModelError):
    """Bytes are not those that were pinned."""

    exit_code = 34


class CheckpointInvalid(ModelError):
    """A checkpoint is hostile, truncated, or not the network its card names."""

    exit_code = 35


class SelfTestFailed(ModelError):
    """A built model gives other embeddings than it should; it was not installed."""

    exit_code = 36


class ModelRuntimeError(ModelError):
    """The inference engine could not load or run a graph."""

    exit_code = 37


class SpaceMismatch(ModelError):
    """Two vectors belong to different embedding spaces."""

    exit_code = 38


class ThresholdUnavailable(ModelError):
    """No threshold is known for this model; without one no speaker is accepted."""

    exit_code = 39
    default_hint = "`voiceid calibrate` measures thresholds on your own recordings."


class EnrollmentRefused(VoiceIDError):
    """The clips do not make a safe enrolment; nothing was changed."""

    exit_code = 40

    def __init__(self, message: str, *, report: object, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report
        """The :class:`EnrollmentReport`, with every problem that was found."""


class SpeakerNotFound(VoiceIDError):
    """No speaker of that name is enrolled."""

    exit_code = 41
    default_hint = "`voiceid speakers list` shows who is enrolled."


class SpeakerExists(VoiceIDError):
    """That name is taken."""

    exit_code = 42


class SpeakerNameInvalid(VoiceIDError):
    """The name is empty, too long, or holds characters that cannot be shown."""

    exit_code = 43


class EnrollmentIncomplete(VoiceIDError):
    """Of many speakers or clips some were not enrolled; the others were, and stay."""

    exit_code = 44


class ManifestInvalid(VoiceIDError):
    """A list of people and recordings is malformed; every line that is wrong is named."""

    exit_code = 45


class Unhealthy(VoiceIDError):
    """An examination found something that keeps voiceid from its work."""

    exit_code = 46


class SpeakerDetailInvalid(VoiceIDError):
    """A group, a label, a piece of metadata or an expiry cannot be what was given."""

    exit_code = 47


class SampleNotFound(VoiceIDError):
    """The speaker has no sample of that number."""

    exit_code = 48
    default_hint = "`voiceid samples list NAME` shows the samples of a speaker."


class ChangeRefused(VoiceIDError):
    """A change would join two voices, or leave a speaker without a sample; nothing was changed."""

    exit_code = 49


class GalleryFileInvalid(VoiceIDError):
    """A file of exported speakers is damaged, or is none; nothing was imported."""

    exit_code = 55


class TrialsInvalid(VoiceIDError):
    """A list of trials or recordings is malformed, or makes no trials; nothing was evaluated."""

    exit_code = 56


class ExtraMissing(VoiceIDError):
    """A library that only this command needs is not installed."""

    exit_code = 57
    default_hint = "Install it with `pip install 'voiceid[plots]'`."


class PictureNotWritten(VoiceIDError):
    """A picture's file is there already, or cannot be written; nothing was changed."""

    exit_code = 58


class GateMissed(VoiceIDError):
    """An evaluation found more errors than was asked for; its report was written."""

    exit_code = 59


class FitRefused(VoiceIDError):
    """The recordings are too few for a calibration or an adaptation, or it does not help."""

    exit_code = 60


class FitNotFound(VoiceIDError):
    """There is no calibration or adaptation of that number."""

    exit_code = 61


class ErasureIncomplete(VoiceIDError):
    """The change was made, and bytes of what it removed are still in a file, which is named."""

    exit_code = 62

    def __init__(self, message: str, *, remains: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.remains = remains
        """Where, each in a sentence."""


class TranscriptInvalid(VoiceIDError):
    """A transcript cannot be read, or is in no format that is known; nothing was written."""

    exit_code = 63
    default_hint = (
        "Pass SubRip (.srt), WebVTT (.vtt), or the JSON of Whisper, WhisperX, faster-whisper or"
        " whisper.cpp."
    )


class ApiKeyInvalid(VoiceIDError):
    """A key to the service cannot be made as it was asked for."""

    exit_code = 64


class ApiKeyNotFound(VoiceIDError):
    """There is no key of that id."""

    exit_code = 65
    default_hint = "`voiceid keys list` shows the keys."


class AccessDenied(VoiceIDError):
    """The caller may not do that: no key, a wrong or expired one, or one for something else."""

    exit_code = 66


class LockedOut(VoiceIDError):
    """After too many failed attempts nothing is decided for a while; no audio was heard."""

    exit_code = 67

    def __init__(self, message: str, *, retry_after_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        """Seconds until an attempt is taken again."""


class ConsentMissing(VoiceIDError):
    """No consent of a speaker is in force, and the settings ask for one; nothing was changed."""

    exit_code = 72


class ReceiptInvalid(VoiceIDError):
    """A receipt of an erasure was changed, is of another gallery, or is none."""

    exit_code = 73


class SignatureInvalid(VoiceIDError):
    """A backup or an export was changed, or is not signed by this gallery; nothing was read in."""

    exit_code = 76


class StoreError(VoiceIDError):
    """The database could not be opened, read or written."""

    exit_code = 50


class SchemaTooNew(StoreError):
    """The database was written by a newer voiceid; it was not touched."""

    exit_code = 51
    default_hint = "Install the newer voiceid, or point at another data folder."


class SchemaOutdated(StoreError):
    """The database is of an older voiceid and must be upgraded first."""

    exit_code = 52
    default_hint = "Run `voiceid database upgrade`."


class StoreBusy(StoreError):
    """Another process held the database for longer than the busy timeout."""

    exit_code = 53
    default_hint = "Try again; if it lasts, look for a process that hangs in a write."


class StoreUnreachable(StoreError):
    """The server of the database cannot be reached, or went away; nothing was changed."""

    exit_code = 69


class IndexFault(StoreError):
    """The vector index could not be built or searched."""

    exit_code = 54
    default_hint = "Run `voiceid index rebuild`."


class GalleryKeyMissing(StoreError):
    """The key of a protected gallery is not to be had, or is another gallery's."""

    exit_code = 68
    default_hint = "Put the key back where it was (docs/privacy.md)."


class AuditBroken(StoreError):
    """Rows of the audit chain were changed, removed or put in."""

    exit_code = 75
    default_hint = "See who may write to it; a backup from before may show what was there."
