"""How an enrolment is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.text import counted, seconds, table

if TYPE_CHECKING:
    from voiceid.domain import EnrollmentReport


def clips_table(report: EnrollmentReport) -> str:
    """Return one row a clip: net speech, SNR, agreement with the others, warnings."""
    rows = []
    for clip in report.clips:
        quality = clip.quality
        rows.append(
            [
                clip.name,
                "-" if quality is None else seconds(quality.net_speech_s),
                "-" if quality is None or quality.snr_db is None else f"{quality.snr_db:.0f} dB",
                "-" if clip.agreement is None else f"{clip.agreement:.3f}",
                "unreadable" if quality is None else ", ".join(quality.warnings) or "-",
            ]
        )
    header = ["clip", "net speech", "SNR", "agreement", "warnings"]
    return table(header, rows, right={"net speech", "SNR", "agreement"})


def problem_lines(report: EnrollmentReport) -> list[str]:
    """Return every problem in a line, those that ``--force`` overrode saying so."""
    lines = []
    for problem in report.problems:
        where = "" if problem.clip is None else f"{problem.clip}: "
        if problem.overridden:
            what = "overridden"
        elif problem.overridable:
            what = "problem (--force overrides)"
        else:
            what = "problem"
        lines.append(f"{what}: {where}{problem.message} [{problem.code}]")
    return lines


def report_text(report: EnrollmentReport) -> str:
    """Return the table of clips and what came of them."""
    clips = counted(len(report.clips), "clip")
    total = f"{seconds(report.net_speech_s)} of net speech in all"
    if report.missing_speech_s > 0:
        total += f", {seconds(report.missing_speech_s)} missing"
    if report.dry_run:
        end = f"dry run  {report.name} could be enrolled: {clips}, {total}; nothing was changed"
    elif report.speaker is not None and report.enrolled:
        samples = counted(report.speaker.n_samples, "sample")
        how = "replaced" if report.mode == "replace" else "added"
        end = f"enrolled  {report.name}   {clips} {how}, {samples} and {total}"
    else:
        end = f"not enrolled  {report.name}   nothing was changed"
    return f"{clips_table(report)}\n\n{end}   {report.elapsed_ms:.0f} ms"
