"""Who spoke when in a recording of several people.

`local_voices` finds the voices of each window of ten seconds, `clustering` joins them to people,
`activity` finds the turns, and `naming` the names; `diarizer` has the steps.
`linking` finds which unknown voices of many recordings are the same.
"""

from voiceid.diarization.diarizer import Diarizer, Progress, Request
from voiceid.diarization.linking import LinkedVoices

__all__ = ["Diarizer", "LinkedVoices", "Progress", "Request"]
