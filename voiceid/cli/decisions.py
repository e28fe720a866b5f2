"""How a decision is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.text import printable, seconds, table

if TYPE_CHECKING:  # numpy need not be loaded to parse a command line
    from voiceid.domain import Decision, QualityReport

_EXIT_CODES = {
    "accepted": exit_codes.DONE,
    "rejected": exit_codes.REJECTED,
    "inconclusive": exit_codes.INCONCLUSIVE,
}


def tell(decision: Decision, console: Console) -> int:
    """Print the decision and return its exit code."""
    code = _EXIT_CODES[decision.outcome.value]  # an outcome that is not known must not be 0
    if console.settings.as_json:
        console.json(decision.to_dict())
    else:
        console.result(decision_text(decision))
        warn_of(decision.quality, console)
    return code


def decision_text(decision: Decision) -> str:
    """Return the decision in a few lines: the outcome, who, and the numbers behind it."""
    outcome = decision.outcome.value
    indent = " " * (len(outcome) + 2)
    lines = [
        printable(f"{outcome}  {_who(decision)}"),
        printable(f"{indent}{decision.detail}"),
        printable(f"{indent}{'   '.join(_facts(decision))}"),
    ]
    if len(decision.candidates) > 1:
        lines += ["", _candidates(decision)]
    return "\n".join(lines)


def warn_of(quality: QualityReport, console: Console, clip: str | None = None) -> None:
    """Warn of what was found in the audio."""
    where = "" if clip is None else f"{clip}: "
    for code in quality.warnings:
        console.warn(where + warning_text(code, quality))


def warning_text(code: str, quality: QualityReport) -> str:
    """Return a quality warning in words, with its number."""
    if code == "narrowband" and quality.bandwidth_hz is not None:
        return (
            f"narrowband: nothing above {quality.bandwidth_hz / 1000:.1f} kHz (a telephone line?);"
            " scores tell voices apart less well"
        )
    if code == "noisy" and quality.snr_db is not None:
        return f"noisy: speech is only {quality.snr_db:.0f} dB above the rest"
    if code == "clipped":
        return f"clipped: {quality.clipped_fraction:.1%} of the samples; turn the recording down"
    if code == "truncated":
        return "truncated: the file is damaged, and only its beginning was heard"
    if code == "too_short":
        return f"too short: {quality.net_speech_s:.2f} s of net speech"
    return code.replace("_", " ")


def _who(decision: Decision) -> str:
    name = "" if decision.speaker is None else decision.speaker.name
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
    if decision.margin is not None and decision.runner_up is not None:
        facts.append(f"margin {decision.margin:.3f} over {decision.runner_up.speaker.name}")
    facts.append(f"net speech {seconds(decision.quality.net_speech_s)}")
    if decision.task.value == "identify":
        facts.append(f"{decision.gallery_size} enrolled")
    facts.append(f"{decision.elapsed_ms:.0f} ms")
    return facts


def _candidates(decision: Decision) -> str:
    rows = [
        [str(rank), candidate.speaker.name, f"{candidate.score:.3f}"]
        for rank, candidate in enumerate(decision.candidates, start=1)
    ]
    return table(["rank", "speaker", "score"], rows, right={"rank", "score"})
