"""Transcripts of other programs: which voice says each word, in the file's own format.

`attribution` finds the voice of each word, `recognizer_json` and `subtitles` read and write the
files, `transcript` is the way in, and `talk_page` is a page that plays the recording.
"""

from voiceid.transcripts.transcript import NamedTranscript as NamedTranscript
from voiceid.transcripts.transcript import Transcript as Transcript
from voiceid.transcripts.transcript import TranscriptLine as TranscriptLine
