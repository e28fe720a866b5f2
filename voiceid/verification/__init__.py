"""Verification and identification: questions about a clip, and their answers.

`verifier` asks the gallery, `answers` makes the decisions.
"""

from voiceid.verification.answers import Probe
from voiceid.verification.verifier import Verifier, compare

__all__ = ["Probe", "Verifier", "compare"]
