"""``voiceid doctor``."""

from __future__ import annotations

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf
from voiceid.cli.text import counted
from voiceid.errors import Unhealthy


@leaf("doctor", examples=["voiceid doctor"])
def command(console: Console) -> None:
    """Examine the whole installation: from models and database to disk and clock.

    It checks the engine, models, database, index, thresholds, codecs, processors, disk, clock and
    permissions.  Each line is ok, warning or error, and says what to do.  Nothing is changed or
    downloaded.  Exits with 0 without errors, with 46 otherwise.
    """
    n_errors = 0
    with open_voiceid(console) as vid:
        for finding in vid.events.examine():
            n_errors += finding.health.value == "error"
            text = f"{finding.health:7}  {finding.subject:10}  {finding.message}"
            if finding.hint:
                text += f"\n{'':21}{finding.hint}"
            console.answer(finding.to_dict(), text, finding.health.value)
    if n_errors:
        raise Unhealthy(f"{counted(n_errors, 'error')} found", hint="Fix the errors above.")
