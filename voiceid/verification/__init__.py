"""Verification and identification: questions about a clip, and their answers.

`policy` reads what decides, `verifier` asks the gallery, and `answers` makes the decisions.
"""

from voiceid.verification.answers import Probe
from voiceid.verification.policy import BackEnd, Policy
from voiceid.verification.two_clips import compare
from voiceid.verification.verifier import Claim, Search, Verifier

__all__ = ["BackEnd", "Claim", "Policy", "Probe", "Search", "Verifier", "compare"]
