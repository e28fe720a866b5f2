"""Verification and identification: questions about a clip, and their answers.

`verifier` asks the gallery, `backend` is what the database says of adaptation and calibration, and
`answers` makes the decisions.
"""

from voiceid.verification.answers import Probe
from voiceid.verification.backend import BackEnd, BackEnds
from voiceid.verification.verifier import Verifier, compare

__all__ = ["BackEnd", "BackEnds", "Probe", "Verifier", "compare"]
