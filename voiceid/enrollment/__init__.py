"""Enrolment: from clips to a speaker whose samples are all checked.

`checks` finds all problems of the clips, `service` reports all of them at once or writes the
samples, `bulk` enrols the many people of a `manifest`; `curation` maintains the enrolled speakers,
and `transfer` converts them to another model.
"""

from voiceid.enrollment.checks import Checks, EnrollmentLimits
from voiceid.enrollment.clips import Part, Person, sources_of
from voiceid.enrollment.curation import Curator
from voiceid.enrollment.manifest import read_manifest
from voiceid.enrollment.service import Enroller, Mode

__all__ = [
    "Checks",
    "Curator",
    "Enroller",
    "EnrollmentLimits",
    "Mode",
    "Part",
    "Person",
    "read_manifest",
    "sources_of",
]
