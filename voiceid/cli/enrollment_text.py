"""The text of an enrolment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from voiceid.cli.console import Console
from voiceid.cli.text import counted, printable, seconds, table
from voiceid.errors import EnrollmentIncomplete, EnrollmentRefused

if TYPE_CHECKING:
    from voiceid.domain import EnrollmentReport
    from voiceid.enrollment import Person


def clips_table(report: EnrollmentReport) -> str:
    """Return one row per clip: net speech, SNR, agreement with the others, warnings."""
    rows = []
    why = {problem.clip: problem.code for problem in report.problems}
    for clip in report.clips:
        quality = clip.quality
        rows.append(
            [
                clip.name,
                "-" if quality is None else seconds(quality.net_speech_s),
                "-" if quality is None or quality.snr_db is None else f"{quality.snr_db:.0f} dB",
                "-" if clip.agreement is None else f"{clip.agreement:.3f}",
                why.get(clip.name, "-") if quality is None else ", ".join(quality.warnings) or "-",
            ]
        )
    header = ["clip", "net speech", "SNR", "agreement", "warnings"]
    return table(header, rows, right={"net speech", "SNR", "agreement"})


def problem_lines(report: EnrollmentReport) -> list[str]:
    """Return every problem in a line, marked if ``--force`` overrode it."""
    lines = []
    for problem in report.problems:
        where = "" if problem.clip is None else f"{problem.clip}: "
        if problem.overridden:
            kind = "overridden"
        elif problem.left_out:
            kind = "left out"
        elif problem.overridable:
            kind = "problem (--force overrides)"
        else:
            kind = "problem"
        lines.append(f"{kind}: {where}{problem.message} [{problem.code}]")
    return lines


def report_text(report: EnrollmentReport) -> str:
    """Return the table of clips and the result."""
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


def tell_one(report: EnrollmentReport, console: Console) -> None:
    """Print the result of an enrolment."""
    if report.blocking or not (report.enrolled or report.dry_run):
        raise EnrollmentRefused(f"{report.name} was not enrolled", report=report)
    console.answer(report.to_dict(), report_text(report))
    for line in [] if console.settings.as_json else problem_lines(report):
        console.warn(line)


def tell_many(
    people: Sequence[Person], reports: Iterable[EnrollmentReport], console: Console
) -> None:
    """Print the result of each person as it comes, and a summary."""
    counts = Counter[str]()
    n_left_out = 0
    console.count("enrolling", 0, len(people))
    for done, report in enumerate(reports, start=1):
        counts[report.status] += 1
        n_left_out += sum(problem.left_out for problem in report.problems)
        console.answer(report.to_dict(), _line(report))
        for line in problem_lines(report):
            console.warn(f"{report.name}: {line}")
        console.count("enrolling", done, len(people))
    summary = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    if counts["refused"] or n_left_out:
        left_out = counted(n_left_out, "clip")
        raise EnrollmentIncomplete(
            f"of {counted(len(people), 'speaker')}: {summary}; {left_out} left out",
            hint="What was enrolled stays. Fix or drop the clips above, then run this again.",
        )
    console.note(f"{counted(len(people), 'speaker')}: {summary}")


def _line(report: EnrollmentReport) -> str:
    samples = "" if report.speaker is None else f", {counted(report.speaker.n_samples, 'sample')}"
    return printable(
        f"{report.status:9}  {report.name}   {counted(len(report.clips), 'clip')}"
        f"{samples}   {seconds(report.net_speech_s)} of net speech"
    )
