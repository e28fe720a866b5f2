"""The frozen values that every layer speaks in.

Nothing here does I/O, and nothing here knows another voiceid module but `errors`.
Every value has ``to_dict()``, which gives plain JSON-ready values: that form is the
public JSON of the command line.
"""

from voiceid.domain.conditions import Band, Condition, band_of
from voiceid.domain.curation import Inspection, Likeness, Merge, Split
from voiceid.domain.databases import DatabaseUrl, database_at
from voiceid.domain.decisions import (
    SCORE_SCALE,
    Candidate,
    Decision,
    Outcome,
    Reason,
    Task,
    Threshold,
)
from voiceid.domain.details import SpeakerDetails, expiry, moment, tag
from voiceid.domain.enrollments import (
    EnrollmentClip,
    EnrollmentProblem,
    EnrollmentReport,
)
from voiceid.domain.health import Finding, Health
from voiceid.domain.model_changes import Migration, ModelChange, joined, space_in_use
from voiceid.domain.speakers import (
    EMPTY_REVISION,
    CentroidTable,
    Enrolled,
    FeedEntry,
    NewSample,
    NewSpeakers,
    Revision,
    Sample,
    Speaker,
    SpeakerRef,
    Standing,
    speaker_key,
    speaker_name,
)
from voiceid.domain.speech import (
    EmbeddedClip,
    Embedding,
    EmbeddingSpace,
    Float32Array,
    QualityReport,
    Utterance,
)

__all__ = [
    "EMPTY_REVISION",
    "SCORE_SCALE",
    "Band",
    "Candidate",
    "CentroidTable",
    "Condition",
    "DatabaseUrl",
    "Decision",
    "EmbeddedClip",
    "Embedding",
    "EmbeddingSpace",
    "Enrolled",
    "EnrollmentClip",
    "EnrollmentProblem",
    "EnrollmentReport",
    "FeedEntry",
    "Finding",
    "Float32Array",
    "Health",
    "Inspection",
    "Likeness",
    "Merge",
    "Migration",
    "ModelChange",
    "NewSample",
    "NewSpeakers",
    "Outcome",
    "QualityReport",
    "Reason",
    "Revision",
    "Sample",
    "Speaker",
    "SpeakerDetails",
    "SpeakerRef",
    "Split",
    "Standing",
    "Task",
    "Threshold",
    "Utterance",
    "band_of",
    "database_at",
    "expiry",
    "joined",
    "moment",
    "space_in_use",
    "speaker_key",
    "speaker_name",
    "tag",
]
