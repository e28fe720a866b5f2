"""Who spoke when in a recording, and who the voices are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from voiceid.domain import turn_formats
from voiceid.domain.decisions import Decision
from voiceid.domain.speaker import SpeakerRef
from voiceid.domain.speech import Embedding, EmbeddingSpace
from voiceid.domain.values import Value, json_of

_EDGE_S = 0.1
"""Time beside a change of voice: the change is known to a few frames of 17 ms."""


@dataclass(frozen=True, slots=True)
class VoiceTurn(Value):
    """One voice, from start to end; turns of two voices may overlap.

    Parameters
    ----------
    start_s, end_s : float
        Of the recording, in seconds.
    voice : str
        The name of the voice: a speaker's, or ``unknown-1``.
    """

    start_s: float
    end_s: float
    voice: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class VoiceLink(Value):
    """The voice of an earlier recording that a voice matches.

    Parameters
    ----------
    clip : str
        That recording.
    voice : str
        The name of the voice there without links.
    score, threshold : float
        Cosine of the two, and its threshold.
    """

    clip: str
    voice: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class DiarizedVoice:
    """One voice of a recording.

    Parameters
    ----------
    name : str
        The name of the speaker who was accepted, or ``unknown-1``, ``unknown-2``, ... in the order
        in which those without a name first speak.
    speech_s, alone_s : float
        How long it speaks, in seconds, and how long of it alone.
    decision : Decision or None
        The speaker, with the scores; None if names were not asked for.
    embedding : Embedding or None
        Of its parts alone; None if they are too short, or names were not asked for.
    own_name : str or None
        The name without `LinkedVoices` of an unknown voice that they named; ``enroll --voice``
        takes it.
    link : VoiceLink or None
        The match with a voice of an earlier recording; None: there is none, or no check was made.
    """

    name: str
    speech_s: float
    alone_s: float
    decision: Decision | None
    embedding: Embedding | None
    own_name: str | None = None
    link: VoiceLink | None = None

    @property
    def speaker(self) -> SpeakerRef | None:
        """The enrolled speaker whose voice it is; None: not known."""
        decision = self.decision
        return decision.speaker if decision is not None and decision.accepted else None

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return json_of(self, "embedding", speaker=self.speaker)


@dataclass(frozen=True, slots=True, eq=False)
class Diarization:
    """Who spoke when in a recording.

    Parameters
    ----------
    clip : str
        The file's name, without folders.
    pcm_sha256 : str
        Hash of the decoded samples: the recording's identity.
    duration_s : float
        Length of the recording.
    voices : tuple of DiarizedVoice
        In the order in which they first speak.
    turns : tuple of VoiceTurn
        By their starts.
    embedding_space : EmbeddingSpace
        In which voices were compared.
    group : str or None
        The only group in which names were looked for.
    unheard : tuple of str
        The parts of the source that were not heard, in a few words each.
    elapsed_ms : float
        From the call to the answer.
    """

    clip: str
    pcm_sha256: str
    duration_s: float
    voices: tuple[DiarizedVoice, ...]
    turns: tuple[VoiceTurn, ...]
    embedding_space: EmbeddingSpace
    group: str | None
    unheard: tuple[str, ...]
    elapsed_ms: float

    @property
    def speech_s(self) -> float:
        """How long at least one voice speaks, in seconds."""
        return sum(end_s - start_s for start_s, end_s, names in stretches(self.turns) if names)

    @property
    def overlap_s(self) -> float:
        """How long at least two voices speak, in seconds."""
        spans = stretches(self.turns)
        return sum(end_s - start_s for start_s, end_s, names in spans if len(names) > 1)

    def alone(self, voice: str) -> tuple[tuple[float, float], ...]:
        """Return where one voice speaks and no other does, as starts and ends in seconds.

        A tenth of a second beside other voices is left out.  Empty: there is no such place.
        """
        return tuple(alone(self.turns).get(voice, ()))

    def text(self, form: str) -> str:
        """Return the turns as the text of a file.

        Parameters
        ----------
        form : str
            ``rttm`` (NIST's, one line a turn), ``srt`` or ``vtt`` (subtitles that name the voice),
            ``csv``, or ``audacity`` (its label track).

        Raises
        ------
        ValueError
            The form is not one of these.
        """
        return turn_formats.text(form, self.clip, self.turns)

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return json_of(
            self,
            speech_s=round(self.speech_s, 2),
            overlap_s=round(self.overlap_s, 2),
            embedding_space=self.embedding_space.id,
        )


def stretches(turns: Iterable[VoiceTurn]) -> list[tuple[float, float, frozenset[str]]]:
    """Return starts, ends, and who speaks between: the time from the first turn to the last, cut.

    It is cut wherever a turn begins or ends.
    """
    edges = sorted(
        [(turn.start_s, 1, turn.voice) for turn in turns]
        + [(turn.end_s, -1, turn.voice) for turn in turns]
    )
    spans: list[tuple[float, float, frozenset[str]]] = []
    speaking: dict[str, int] = {}
    before_s = edges[0][0] if edges else 0.0
    for at_s, change, voice in edges:
        if at_s > before_s:
            spans.append((before_s, at_s, frozenset(v for v, n in speaking.items() if n > 0)))
            before_s = at_s
        if n := speaking.pop(voice, 0) + change:
            speaking[voice] = n
    return spans


def alone(turns: Sequence[VoiceTurn]) -> dict[str, list[tuple[float, float]]]:
    """Return where each voice speaks alone, if anywhere; see `Diarization.alone`."""
    cut = [(0.0, 0.0, frozenset[str]()), *stretches(turns), (0.0, 0.0, frozenset[str]())]
    spans: dict[str, list[tuple[float, float]]] = {}
    for (*_, before), (start_s, end_s, names), (*_, after) in zip(
        cut, cut[1:], cut[2:], strict=False
    ):
        span = start_s + _EDGE_S * bool(before), end_s - _EDGE_S * bool(after)
        if len(names) == 1 and span[0] < span[1]:
            spans.setdefault(next(iter(names)), []).append(span)
    return spans
