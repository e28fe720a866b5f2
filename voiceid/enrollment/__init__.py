"""Enrolment: from clips to a speaker whose every sample has been checked.

`checks` finds everything that speaks against the clips, `service` reports all of it at once
or writes, `bulk` does so for the many people of a `manifest`.
"""

from voiceid.enrollment.bulk import enroll_many
from voiceid.enrollment.checks import Checks, EnrollmentLimits
from voiceid.enrollment.clips import Person
from voiceid.enrollment.manifest import read_manifest
from voiceid.enrollment.service import Enroller, Mode

__all__ = [
    "Checks",
    "Enroller",
    "EnrollmentLimits",
    "Mode",
    "Person",
    "enroll_many",
    "read_manifest",
]
