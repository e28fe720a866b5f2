"""Who spoke when in a recording of several people.

`local_voices` hears the voices of each window of ten seconds, `clustering` finds the people that
they are, `activity` their turns, and `naming` what they are called; `diarizer` is the steps.
`linking` finds which unknown voices of many recordings are the same.
"""

from voiceid.diarization.diarizer import Diarizer, Progress, Wanted
from voiceid.diarization.linking import LinkedVoices

__all__ = ["Diarizer", "LinkedVoices", "Progress", "Wanted"]
