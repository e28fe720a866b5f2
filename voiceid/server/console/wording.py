"""What codes mean, in words for the people at the console."""

from __future__ import annotations

from collections.abc import Mapping

from voiceid.domain import JobKind, Reason, Scope

REASONS: Mapping[str, str] = {
    Reason.MATCH: "The voice reaches the threshold.",
    Reason.BELOW_THRESHOLD: "The voice is not like enough to the voice that was claimed.",
    Reason.UNKNOWN: "No enrolled voice is like enough to this one.",
    Reason.GALLERY_EMPTY: "No speaker is enrolled who could be found.",
    Reason.AMBIGUOUS: "Two enrolled voices are so close that it is not clear which one speaks.",
    Reason.NOT_ENOUGH_SPEECH: "There is too little speech to decide.",
    Reason.SPEAKER_EXPIRED: "The enrolment has expired, whatever the score is.",
    Reason.SPEAKER_DISABLED: "The speaker is disabled, whatever the score is.",
    Reason.NO_CONSENT: "No consent is in force for this, whatever the score is.",
    Reason.CLOCK_BEHIND: "The clock is behind, so that the expiry cannot be checked.",
    Reason.REPLAYED: "This recording was heard before. It does not show who speaks now.",
    Reason.CHALLENGE_FAILED: "The voice matches, and it does not say the code that was asked for.",
    Reason.CHALLENGE_EXPIRED: "The code was asked for too long ago, or was answered before.",
    Reason.PRESENTATION_ATTACK: "It does not sound like a person who speaks here and now.",
    Reason.SEVERAL_VOICES: "More than one person speaks in the recording.",
}
"""By the reason of a decision."""

WARNINGS: Mapping[str, tuple[str, str]] = {
    "too_short": ("too short", "There is too little speech in it."),
    "clipped": ("clipped", "It was recorded too loud: turn the microphone down."),
    "too_soft": ("too soft", "It was recorded far too softly: turn the microphone up."),
    "noisy": ("noisy", "The speech is hardly louder than the rest: choose a quiet place."),
    "narrowband": ("narrowband", "It is like a telephone line: voices differ less."),
    "truncated": ("truncated", "The file is damaged, and only its beginning was heard."),
    "other_tracks": ("other tracks", "The file has several audio tracks, and one was heard."),
    "unheard_data": ("unheard data", "Behind the sound is data that cannot be decoded."),
    "opposite_phase": ("opposite phase", "The channels cancel each other: swap the wires of one."),
    "several_voices": ("several voices", "More than one person speaks in it."),
    "partly_judged": ("partly judged", "There is more speech than is judged."),
}
"""By the code of a warning: its name, and what it means."""

SCOPES: Mapping[str, str] = {
    Scope.IDENTIFY: "ask who is speaking",
    Scope.VERIFY: "ask whether it is a named speaker",
    Scope.ENROLL: "enrol new speakers, and add to those that there are",
    Scope.READ: "see speakers, scores and samples",
    Scope.ADMIN: "everything",
}
"""By the scope of a key: what it allows."""

JOBS: Mapping[str, str] = {
    JobKind.DIARIZE: "Who spoke when",
    JobKind.EVALUATE: "Evaluation",
    JobKind.CALIBRATE: "Calibration",
    JobKind.ENROLL: "Enrolment of many",
}
"""By the kind of a job: what it is called."""
