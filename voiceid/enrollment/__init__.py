"""Enrolment: from clips to a speaker whose every sample has been checked.

`checks` finds everything that speaks against the clips, `service` reports all of it at once
or writes.
"""

from voiceid.enrollment.checks import Checks, EnrollmentLimits
from voiceid.enrollment.service import Enroller, Mode

__all__ = ["Checks", "Enroller", "EnrollmentLimits", "Mode"]
