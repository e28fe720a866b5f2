"""Enrolment: from clips to a speaker whose every sample has been checked.

`checks` finds everything that speaks against the clips, `service` reports all of it at once
or writes, `bulk` does so for the many people of a `manifest`; `curation` looks after the enrolled
speakers, and `transfer` brings them over to another model.
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
