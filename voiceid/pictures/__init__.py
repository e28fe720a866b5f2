"""Pictures of voices, scores and error rates: arrays in, PNG or HTML out.  Pure.

Importing this package loads matplotlib, or raises :class:`voiceid.errors.ExtraMissing` if it is
not installed: import it only when a picture is needed.  Each
function returns a figure, and :func:`png` the bytes of its file.
"""

from voiceid.pictures.canvas import Picture as Picture
from voiceid.pictures.canvas import png as png
from voiceid.pictures.canvas import svg as svg
from voiceid.pictures.curves import cmc as cmc
from voiceid.pictures.curves import det as det
from voiceid.pictures.curves import open_set as open_set
from voiceid.pictures.curves import reliability as reliability
from voiceid.pictures.lanes import lanes as lanes
from voiceid.pictures.pair_scores import cosines as cosines
from voiceid.pictures.pair_scores import pairs as pairs
from voiceid.pictures.pair_scores import score_histograms as score_histograms
from voiceid.pictures.pair_scores import similarity as similarity
from voiceid.pictures.plane import Method as Method
from voiceid.pictures.plane import VoiceMap as VoiceMap
from voiceid.pictures.plane import map_voices as map_voices
from voiceid.pictures.voice_page import voice_page as voice_page
from voiceid.pictures.voices import voice_map as voice_map
