"""Pictures of voices, scores and error rates: arrays in, PNG or HTML out.  Pure.

Importing this package loads matplotlib, or raises :class:`voiceid.errors.ExtraMissing` where it
is not installed: whoever may have to do without imports it when a picture is asked for.  Each
function returns a figure, and :func:`png` the bytes of its file.
"""

from voiceid.pictures.canvas import Picture, png, svg
from voiceid.pictures.curves import cmc, det, open_set, reliability
from voiceid.pictures.histograms import score_histograms
from voiceid.pictures.plane import Method, VoiceMap, map_voices
from voiceid.pictures.similarity import cosines, pairs, similarity
from voiceid.pictures.voice_page import voice_page
from voiceid.pictures.voices import voice_map

__all__ = [
    "Method",
    "Picture",
    "VoiceMap",
    "cmc",
    "cosines",
    "det",
    "map_voices",
    "open_set",
    "pairs",
    "png",
    "reliability",
    "score_histograms",
    "similarity",
    "svg",
    "voice_map",
    "voice_page",
]
