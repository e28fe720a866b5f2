"""The meaning of codes, in words for people at the console."""

from __future__ import annotations

from collections.abc import Mapping

from voiceid.domain import JobKind, Reason, Scope

REASONS: Mapping[str, str] = {
    Reason.MATCH: "The voice reaches the threshold.",
    Reason.BELOW_THRESHOLD: "The voice is not similar enough to the claimed speaker's voice.",
    Reason.UNKNOWN: "No enrolled voice is similar enough to this one.",
    Reason.GALLERY_EMPTY: "No speaker is enrolled who could match.",
    Reason.AMBIGUOUS: "Two enrolled voices are so similar that it is not clear which one speaks.",
    Reason.NOT_ENOUGH_SPEECH: "There is too little speech to decide.",
    Reason.SPEAKER_EXPIRED: "The enrolment has expired; the score does not matter.",
    Reason.SPEAKER_DISABLED: "The speaker is disabled; the score does not matter.",
    Reason.NO_CONSENT: "No consent is in force for this; the score does not matter.",
    Reason.CLOCK_BEHIND: "The clock is behind, so the expiry cannot be checked.",
    Reason.REPLAYED: "This recording was heard before. It does not show who speaks now.",
    Reason.CHALLENGE_FAILED: "The voice matches, but it does not say the requested code.",
    Reason.CHALLENGE_EXPIRED: "The code has expired, or was answered before.",
    Reason.PRESENTATION_ATTACK: "The recording does not sound like a person who speaks live.",
    Reason.SEVERAL_VOICES: "More than one person speaks in the recording.",
}
"""The text for each reason of a decision."""

WARNINGS: Mapping[str, tuple[str, str]] = {
    "too_short": ("too short", "The recording has too little speech."),
    "clipped": ("clipped", "The recording is too loud: turn the microphone down."),
    "too_soft": ("too soft", "The recording is far too soft: turn the microphone up."),
    "noisy": ("noisy", "The speech is hardly louder than the noise: choose a quiet place."),
    "narrowband": ("narrowband", "The recording sounds like a telephone line: voices differ less."),
    "truncated": ("truncated", "The file is damaged, and only its beginning was heard."),
    "other_tracks": ("other tracks", "The file has several audio tracks, and one was heard."),
    "unheard_data": ("unheard data", "The file has data after the sound that cannot be decoded."),
    "gap": ("gap", "A part of the sound is lost, or the recorder or the microphone stood still."),
    "opposite_phase": ("opposite phase", "The channels cancel out: swap the wires of one."),
    "several_voices": ("several voices", "More than one person speaks in the recording."),
    "partly_judged": ("partly judged", "The recording has more speech than is judged."),
}
"""The name and the meaning of each warning, by its code."""

SCOPES: Mapping[str, str] = {
    Scope.IDENTIFY: "ask who is speaking",
    Scope.VERIFY: "ask whether a named speaker is speaking",
    Scope.ENROLL: "enrol new speakers, and add samples to existing ones",
    Scope.READ: "see speakers, scores and samples",
    Scope.ADMIN: "everything",
}
"""The rights of each scope of a key."""

JOBS: Mapping[str, str] = {
    JobKind.DIARIZE: "Who spoke when",
    JobKind.EVALUATE: "Evaluation",
    JobKind.CALIBRATE: "Calibration",
    JobKind.ENROLL: "Enrolment of many",
}
"""The title of each kind of job."""
