"""`VoiceID`: the facade, and the only place where objects are built."""

from voiceid.app.facade import VoiceID
from voiceid.app.parts import DATABASE_NAME, VAD_MODEL

__all__ = ["DATABASE_NAME", "VAD_MODEL", "VoiceID"]
