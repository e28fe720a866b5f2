"""The text of a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.text import printable, seconds, table, width
from voiceid.errors import AudioError

if TYPE_CHECKING:  # numpy need not be loaded to parse a command line
    from voiceid.domain import Decision, QualityReport

_EXIT_CODES = {
    "accepted": exit_codes.DONE,
    "rejected": exit_codes.REJECTED,
    "inconclusive": exit_codes.INCONCLUSIVE,
}
_BARRED = {
    "speaker_expired": "speaker expired",
    "speaker_disabled": "speaker disabled",
    "no_consent": "no consent",
    "clock_behind": "the clock is behind",
    "replayed": "a recording that was heard before",
    "presentation_attack": "probably an attack",
    "challenge_failed": "without the right code",
    "challenge_expired": "the code has expired",
    "several_voices": "several people speak",
}
"""Reasons that prevent an acceptance with any score."""


def tell(decision: Decision, console: Console) -> int:
    """Print the decision and return its exit code."""
    code = _EXIT_CODES[decision.outcome.value]  # an unknown outcome must not give 0
    console.answer(decision.to_dict(), decision_text(decision), decision.outcome.value)
    if decision.quality is not None and not console.settings.as_json:
        warn_of(decision.quality, console)
    return code


def tell_all(
    sources: Sequence[str], answers: Iterable[Decision | AudioError], console: Console
) -> int:
    """Print the decision about each clip as it comes; return the worst exit code.

    One clip is printed in full.  Many are a table, or with ``--json`` one object per line.
    """
    if len(sources) == 1:
        [answer] = answers
        if isinstance(answer, AudioError):
            raise answer
        return tell(answer, console)
    codes = [0]
    widest = max(width(printable(source)) for source in sources)
    if not console.settings.as_json:
        console.result(_row("clip", widest, ["answer", "speaker", "score", "needed", "speech", ""]))
    for source, answer in zip(sources, answers, strict=True):
        if isinstance(answer, AudioError):
            codes.append(answer.exit_code)
            facts, cells = answer.to_dict(), ["error", "", "", "", "", answer.message]
        else:
            codes.append(_EXIT_CODES[answer.outcome.value])
            facts, cells = answer.to_dict(), _cells(answer)
        row, at = _row(source, widest, cells), _answer_at(source, widest)
        console.answer({"clip": source, **facts}, row, cells[0], at)
    # Exit codes of errors are higher than those of outcomes; the first error decides.
    return next((code for code in codes if code >= exit_codes.INTERNAL), max(codes))


def _cells(decision: Decision) -> list[str]:
    threshold, quality = decision.threshold, decision.quality
    why = [] if decision.accepted else [decision.reason.value.replace("_", " ")]
    return [
        decision.outcome.value,
        decision.speaker.name if decision.accepted and decision.speaker is not None else "-",
        "-" if decision.score is None else f"{decision.score:.3f}",
        "-" if threshold is None else f"{threshold.value:.3f}",
        "-" if quality is None else seconds(quality.net_speech_s),
        ", ".join([*why, *(quality.warnings if quality else ())]),
    ]


def _row(clip: str, widest: int, cells: Sequence[str]) -> str:
    """Return a row of a table that is printed row by row."""
    shown = printable(clip)
    answer, speaker, score, needed, speech, notes = map(printable, cells)
    line = (
        f"{shown:{_answer_at(clip, widest)}}{answer:12}  {speaker:16}"
        f"  {score:>6}  {needed:>6}  {speech:>7}  {notes}"
    )
    return line.rstrip()


def _answer_at(clip: str, widest: int) -> int:
    """Return the position of the answer in the row of a clip."""
    shown = printable(clip)
    return len(shown) + widest - width(shown) + 2


def decision_text(decision: Decision) -> str:
    """Return the decision in a few lines: the outcome, the speaker, and the numbers."""
    outcome = decision.outcome.value
    indent = " " * (len(outcome) + 2)
    lines = [
        printable(f"{outcome}  {who(decision)}"),
        printable(f"{indent}{decision.detail}"),
        printable(f"{indent}{'   '.join(_facts(decision))}"),
    ]
    if len(decision.candidates) > 1:
        lines += ["", _candidates(decision)]
    return "\n".join(lines)


def warn_of(quality: QualityReport, console: Console) -> None:
    """Warn about problems of the audio."""
    for code in quality.warnings:
        console.warn(warning_text(code, quality))
    if quality.unheard:
        console.warn(f"not heard: {'; '.join(quality.unheard)}")


def warning_text(code: str, quality: QualityReport) -> str:
    """Return a quality warning in words, with its number."""
    if code == "narrowband" and quality.bandwidth_hz is not None:
        return (
            f"narrowband: nothing above {quality.bandwidth_hz / 1000:.1f} kHz (a telephone line?);"
            " scores are less reliable"
        )
    if code == "noisy" and quality.snr_db is not None:
        return f"noisy: speech is only {quality.snr_db:.0f} dB above the noise"
    if code == "too_soft" and quality.level_dbfs is not None:
        return f"too soft: speech is at {quality.level_dbfs:.0f} dBFS; turn the recording up"
    if code == "clipped":
        return f"clipped: {quality.clipped_fraction:.1%} of the samples; turn the recording down"
    words = {"too_short": f"too short: {quality.net_speech_s:.2f} s of net speech", **_IN_WORDS}
    return words.get(code, code.replace("_", " "))


_IN_WORDS = {
    "truncated": "truncated: the file is damaged, and only its beginning was heard",
    "other_tracks": "other tracks: the file has several audio tracks; --track N hears another",
    "unheard_data": "unheard data: the file has data after the sound that cannot be decoded",
    "gap": "gap: a part of the sound is lost, or the recorder or the microphone stood still",
    "opposite_phase": "opposite phase: the channels cancel each other; swap the wires of one",
    "several_voices": "several voices: more than one person speaks in the clip",
    "partly_judged": "partly judged: there is more speech than is judged (speech.max_speech_s)",
}


def who(decision: Decision) -> str:
    """Return the answer about the speaker in a few words."""
    name = "" if decision.speaker is None else decision.speaker.name
    if decision.reason.value in _BARRED:
        return _BARRED[decision.reason.value]
    words = {
        ("verify", "accepted"): name,
        ("verify", "rejected"): f"not {name}",
        ("verify", "inconclusive"): f"cannot tell whether it is {name}",
        ("identify", "accepted"): name,
        ("identify", "rejected"): "unknown",
        ("identify", "inconclusive"): "cannot tell who it is",
        ("compare", "accepted"): "the same voice",
        ("compare", "rejected"): "different voices",
        ("compare", "inconclusive"): "cannot tell whether it is one voice",
    }
    return words[decision.task.value, decision.outcome.value]


def _facts(decision: Decision) -> list[str]:
    facts = []
    if decision.llr is not None:
        facts.append(f"LLR {decision.llr:.1f}")
    if decision.margin is not None and decision.runner_up is not None:
        facts.append(f"margin {decision.margin:.3f} over {decision.runner_up.speaker.name}")
    if (quality := decision.quality) is not None:
        facts.append(f"net speech {seconds(quality.net_speech_s)}")
        if "partly_judged" in quality.warnings and quality.judged_speech_s is not None:
            facts[-1] += f", {seconds(quality.judged_speech_s)} of it judged"
    if decision.task.value == "identify":
        where = "" if decision.group is None else f" in {decision.group}"
        facts.append(f"{decision.gallery_size} enrolled{where}")
    facts.append(f"{decision.elapsed_ms:.0f} ms")
    return facts


def _candidates(decision: Decision) -> str:
    rows = [
        [str(rank), candidate.speaker.name, f"{candidate.score:.3f}"]
        for rank, candidate in enumerate(decision.candidates, start=1)
    ]
    return table(["rank", "speaker", "score"], rows, right={"rank", "score"})
