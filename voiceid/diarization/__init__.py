"""Who spoke when in a recording of several people.

`local_voices` hears the voices of each window of ten seconds, `clustering` finds the people that
they are, `activity` their turns, and `naming` what they are called; `diarizer` is the steps.
"""

from voiceid.diarization.diarizer import Diarizer, Progress, Wanted

__all__ = ["Diarizer", "Progress", "Wanted"]
