"""The text of speakers and their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.text import counted, fields, minute, seconds, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiceid.domain import Consent, Inspection, Likeness, Merge, Sample, Speaker


_SHARED = frozenset({"groups", "label", "embedding space", "embedding spaces"})
"""Columns that are left out if every row has the same value."""


def _table(columns: dict[str, list[str]]) -> str:
    """Return a table without empty columns and columns with one shared value."""
    shown = {}
    for name, cells in columns.items():
        values = set(cells)
        empty = values <= {"-", "active"} and name not in {"speaker", "clip"}
        if not empty and not (len(cells) > 1 and len(values) == 1 and name in _SHARED):
            shown[name] = cells
    rows = list(zip(*shown.values(), strict=True))
    return table(list(shown), rows, right={"sample", "samples", "net speech", "SNR"})


def speakers_table(speakers: Sequence[Speaker]) -> str:
    """Return one row per speaker."""
    return _table(
        {
            "speaker": [speaker.name for speaker in speakers],
            "samples": [str(speaker.n_samples) for speaker in speakers],
            "net speech": [seconds(speaker.net_speech_s) for speaker in speakers],
            "updated": [minute(speaker.updated_at) for speaker in speakers],
            "standing": [_standing(speaker) for speaker in speakers],
            "groups": [", ".join(speaker.groups) or "-" for speaker in speakers],
            "embedding spaces": [", ".join(speaker.spaces) or "-" for speaker in speakers],
        }
    )


def facts_text(speaker: Speaker) -> str:
    """Return the details of a speaker, one fact per line."""
    return fields(
        {
            "speaker": speaker.name,
            "id": str(speaker.id),
            "standing": _standing(speaker),
            "groups": ", ".join(speaker.groups) or "-",
            **{f"meta {key}": value for key, value in speaker.metadata.items()},
            **{f"consent {c.text}": _consent(c) for c in speaker.consents},
            "enrolled": minute(speaker.created_at),
            "updated": minute(speaker.updated_at),
            "net speech": seconds(speaker.net_speech_s),
            "embedding spaces": ", ".join(speaker.spaces) or "-",
        }
    )


def _consent(consent: Consent) -> str:
    recorded = "" if consent.recorded_at is None else f" on {minute(consent.recorded_at)}"
    parts = [", ".join(consent.purposes) or "no purpose", f"by {consent.recorded_by}{recorded}"]
    if consent.until is not None:
        parts.append(f"until {minute(consent.until)}")
    if consent.withdrawn_at is not None:
        parts.append(f"withdrawn on {minute(consent.withdrawn_at)}")
    return "; ".join(parts)


def speaker_text(speaker: Speaker, samples: Sequence[Sample]) -> str:
    """Return the details of a speaker, and the samples."""
    return f"{facts_text(speaker)}\n\n{samples_table(samples)}"


def samples_table(samples: Sequence[Sample]) -> str:
    """Return one row per sample."""
    quality = [sample.quality for sample in samples]
    return _table(
        {
            "sample": [str(sample.id) for sample in samples],
            "clip": [sample.source_name for sample in samples],
            "label": [sample.label or "-" for sample in samples],
            "net speech": [seconds(q.net_speech_s) for q in quality],
            "SNR": ["-" if q.snr_db is None else f"{q.snr_db:.0f} dB" for q in quality],
            "enrolled": [minute(sample.created_at) for sample in samples],
            "embedding space": [sample.space_id for sample in samples],
            "warnings": [", ".join(q.warnings) or "-" for q in quality],
            "overridden": [", ".join(sample.overrides) or "-" for sample in samples],
        }
    )


_MATRIX_MAX = 16
"""Samples whose matrix still fits a terminal of 100 columns."""


def inspection_text(result: Inspection) -> str:
    """Return the samples' matrix and agreements, and the nearest other speaker."""
    parts = []
    if 1 < len(result.samples) <= _MATRIX_MAX:
        header = ["sample", *(str(sample.id) for sample in result.samples)]
        rows = [
            [str(sample.id), *(f"{score:.3f}" for score in row)]
            for sample, row in zip(result.samples, result.scores, strict=True)
        ]
        parts.append(table(header, rows, right=set(header)))
    agreements: list[list[object]] = []
    for sample in result.samples:
        score, needed = result.agreements.get(sample.id), result.outliers.get(sample.id)
        agreements.append(
            [
                *(sample.id, sample.source_name, sample.label or None),
                seconds(sample.quality.net_speech_s),
                None if score is None else f"{score:.3f}",
                None if needed is None else f"does not fit: {needed:.3f} needed",
            ]
        )
    header = ["sample", "clip", "label", "net speech", "agreement", "outlier"]
    parts.append(table(header, agreements, right={"sample", "net speech", "agreement"}))
    nearest = "no other speaker is enrolled in this embedding space"
    if result.nearest is not None and result.likeness is not None:
        nearest = f"nearest  {result.nearest.speaker.name}, {_likeness_text(result.likeness)}"
    parts.append(nearest)
    return "\n\n".join(parts)


def merge_text(plan: Merge) -> str:
    """Return the similarity of two speakers, and the effect of a merge."""
    alike = "they cannot be compared: they have no common embedding space in use"
    if plan.likeness is not None:
        alike = _likeness_text(plan.likeness)
    parts = [f"{s.name} ({counted(s.n_samples, 'sample')})" for s in (plan.into, plan.other)]
    if plan.odd and plan.likeness is not None and plan.likeness.same_voice:
        alike += f"; samples {', '.join(map(str, plan.odd))} do not agree with {plan.into.name}"
    return f"{' and '.join(parts)}: {alike}"


def _likeness_text(likeness: Likeness) -> str:
    verdict = "one voice" if likeness.same_voice else "two voices"
    sign = ">=" if likeness.same_voice else "<"
    return (
        f"{verdict}: score {likeness.score:.3f} {sign} threshold {likeness.threshold.value:g}"
        f" ({likeness.threshold.source})"
    )


def _standing(speaker: Speaker) -> str:
    standing = speaker.standing().value
    if speaker.expires_at is None or standing in {"disabled", "no_consent"}:
        return standing.replace("_", " ")
    how = "expired," if standing == "expired" else "active until"
    return f"{how} {minute(speaker.expires_at)}"
