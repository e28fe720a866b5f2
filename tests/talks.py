"""Who spoke when, made up."""

from __future__ import annotations

from voiceid import Diarization, DiarizedVoice, EmbeddingSpace, VoiceTurn


def talk(*turns: tuple[float, float, str], duration_s: float = 20.0) -> Diarization:
    voices = tuple(
        DiarizedVoice(name, 1.0, 1.0, None, None) for name in dict.fromkeys(t[2] for t in turns)
    )
    return Diarization(
        clip="talk.wav",
        pcm_sha256="",
        duration_s=duration_s,
        voices=voices,
        turns=tuple(VoiceTurn(*turn) for turn in turns),
        embedding_space=EmbeddingSpace("test", 4, "", "", "", ""),
        group=None,
        unheard=(),
        elapsed_ms=0.0,
    )
