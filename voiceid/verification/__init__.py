"""Verification and identification: questions about a clip, and their answers.

`policy` reads what decides, `verifier` asks the gallery, `two_clips` compares two clips, and
`answers` makes the decisions; `solo` and `presentation` say what becomes of an acceptance.
"""

from voiceid.verification.answers import Probe
from voiceid.verification.calls import Claim, Search
from voiceid.verification.policy import BackEnd, Policy
from voiceid.verification.two_clips import compare
from voiceid.verification.verifier import Verifier

__all__ = ["BackEnd", "Claim", "Policy", "Probe", "Search", "Verifier", "compare"]
