"""The stored data of one person, as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from voiceid.resources.person_report import PersonReport

_RULES = {
    "withdrawn": "the consent was withdrawn",
    "max_age_days": "the enrolment is old",
    "unused_days": "the voice is not used",
    "after_consent_end_days": "the consent has ended",
}
_USES_SHOWN = 500
_VECTORS = (
    "<p class=soft>Each sample also has a vector of numbers, with which voices are compared. It is"
    " not shown here.</p>"
)


def person_page(report: PersonReport) -> str:
    """Return the page."""
    uses = f"Uses of the last {report.days} days, from {' and '.join(report.uses_from)}"
    body = [
        _facts(report),
        *_section("Consents", _consents(report), "No consent was recorded."),
        *_section("Voice samples", _samples(report), "There are no samples."),
        _VECTORS,
        *_section("Spoken words", _words(report), "No words were taught."),
        *_section("Codes that wait for an answer", _codes(report), "There are no codes."),
        *_section("Kept recordings", _recordings(report), "No recording is kept."),
        *_section("Fingerprints of recordings", _fingerprints(report), "No fingerprint is kept."),
        *_section(uses, _uses(report), "There are no uses."),
        *_section("Failed attempts", _attempts(report), "There are no failed attempts."),
        *_section("Jobs and answers with the name", _work(report), "There are no jobs or answers."),
        *_section("Erasure", _due(report), "No rule erases this person."),
        *_section("Backups that have the person", _backups(report), "No backup is known."),
        *_section(
            "Learned from many", _learned(report), "Nothing was learned since the enrolment."
        ),
    ]
    page = Path(__file__).with_suffix(".html").read_text("utf-8")
    facts = {"name": _text(report.speaker.name), "made_at": _day(report.made_at)}
    return Template(page).substitute(**facts, body="\n".join(body))


def _section(title: str, table: str, nothing: str) -> list[str]:
    return [f"<h2>{_text(title)}</h2>", table or f"<p class=soft>{_text(nothing)}</p>"]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; dates do not wrap, and None is a dash."""
    cells = []
    for row in rows:
        tds = (
            f"<td class=date>{_day(value)}</td>"
            if isinstance(value, datetime)
            else f"<td>{_text('-' if value in {None, ''} else str(value))}</td>"
            for value in row
        )
        cells.append(f"<tr>{''.join(tds)}</tr>")
    head = "".join(f"<th scope=col>{_text(column)}</th>" for column in columns)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table>"
    return f'<div class="wide">{table}</div>' if cells else ""


def _facts(report: PersonReport) -> str:
    speaker = report.speaker
    standing = speaker.standing(report.made_at).value.replace("_", " ")
    facts = [
        ("Name", speaker.name),
        ("Number", str(speaker.id)),
        ("Standing", standing),
        ("Enrolled", _day(speaker.created_at)),
        ("Last changed", _day(speaker.updated_at)),
        ("Expires", None if speaker.expires_at is None else _day(speaker.expires_at)),
        ("Groups", ", ".join(speaker.groups) or None),
        *speaker.metadata.items(),
        ("Samples", f"{speaker.n_samples}, {speaker.net_speech_s:.1f} s of speech"),
        ("Last accepted on", report.last_used_on),
    ]
    shown = (f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts if v is not None)
    return f"<dl>{''.join(shown)}</dl>"


def _consents(report: PersonReport) -> str:
    columns = ("Text", "Purposes", "Recorded", "Recorded by", "Until", "Withdrawn", "Withdrawn by")
    rows = (
        (
            *(c.text, ", ".join(c.purposes), c.recorded_at, c.recorded_by),
            *(c.until, c.withdrawn_at, c.withdrawn_by),
        )
        for c in report.speaker.consents
    )
    return _table(columns, rows)


def _samples(report: PersonReport) -> str:
    columns = ("Sample", "Enrolled", "Clip", "Label", "Speech", "Noise", "Warnings", "Model")
    rows = (
        (
            *(s.id, s.created_at, s.source_name, s.label, f"{s.quality.net_speech_s:.1f} s"),
            None if s.quality.snr_db is None else f"SNR {s.quality.snr_db:.0f} dB",
            ", ".join((*s.quality.warnings, *(f"overridden: {code}" for code in s.overrides))),
            s.space_id,
        )
        for s in report.samples
    )
    return _table(columns, rows)


def _recordings(report: PersonReport) -> str:
    rows = ((file["file"], f"{file['bytes'] / 1024:.0f} KiB") for file in report.recordings)
    return _table(("File", "Size"), rows)


def _uses(report: PersonReport) -> str:
    shown = list(report.uses)[-_USES_SHOWN:]
    table = _table(("Time", "What", "Outcome", "More"), (_use(event) for event in reversed(shown)))
    if len(report.uses) > len(shown):
        table += f"<p class=soft>The newest {len(shown)} of {len(report.uses)} are shown.</p>"
    return table


def _use(event: Mapping[str, Any]) -> tuple[object, ...]:
    kind = event.get("task") or event.get("kind") or event.get("event")
    facts = ("group", "other", "samples", "command", "caller")
    more = [f"{name} {event[name]}" for name in facts if event.get(name) is not None]
    if isinstance(event.get("score"), float):
        more.insert(0, f"score {event['score']:.3f}")
    outcome = ": ".join(str(event[k]) for k in ("outcome", "reason") if event.get(k) is not None)
    return datetime.fromisoformat(event["time"]), kind, outcome.replace("_", " "), ", ".join(more)


def _fingerprints(report: PersonReport) -> str:
    rows = (
        (_moment(heard["created_at"]), heard["heard_as"], _until(heard["expires_at"]))
        for heard in report.fingerprints
    )
    return _table(("Time", "What was heard", "Kept until"), rows)


def _until(moment: str | None) -> object:
    return "the voice sample is removed" if moment is None else _moment(moment)


def _words(report: PersonReport) -> str:
    words = report.words
    rows = [] if words is None else [(word, words.rounds) for word in words.words]
    return _table(("Word", "Recordings, kept as numbers"), rows)


def _codes(report: PersonReport) -> str:
    rows = ((_moment(code["expires_at"]), code["caller"]) for code in report.codes)
    return _table(("Until", "Who asked"), rows)


def _attempts(report: PersonReport) -> str:
    rows = ((_moment(attempt["failed_at"]), attempt["caller"]) for attempt in report.attempts)
    return _table(("Time", "Who asked"), rows)


def _work(report: PersonReport) -> str:
    jobs = (
        (_moment(j["created_at"]), f"job {j['id']}", f"{j['kind']}, {j['state']}")
        for j in report.jobs
    )
    answers = ((_moment(a["created_at"]), "kept answer", a["caller"]) for a in report.answers)
    return _table(("Time", "What", "More"), [*jobs, *answers])


def _due(report: PersonReport) -> str:
    rows = ((erasure.due_at, _RULES.get(erasure.rule, erasure.rule)) for erasure in report.due)
    return _table(("Due", "Because"), rows)


def _backups(report: PersonReport) -> str:
    return _table(("Made", "File"), ((backup.made_at, backup.path) for backup in report.backups))


def _learned(report: PersonReport) -> str:
    rows = (
        (
            *(_moment(fit["learned_at"]), f"{fit['kind']} {fit['number']}", fit["source"]),
            f"{fit['speakers']} speakers" if fit["known"] else "not recorded: perhaps this one",
        )
        for fit in report.learned
    )
    return _table(("Learned", "What", "From", "Learned from"), rows)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _text(text: str) -> str:
    """Return text that is safe between tags and valid UTF-8."""
    return escape(text.encode("utf-8", "backslashreplace").decode())
