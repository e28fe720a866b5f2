"""``voiceid privacy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, branch, leaf, name_argument
from voiceid.cli.output_files import make_folder, save
from voiceid.cli.receipt_text import (
    receipt_option,
    receipt_text,
    require_new,
    save_receipt,
    say_remains,
)
from voiceid.cli.text import counted, minute, table
from voiceid.errors import VoiceIDError

if TYPE_CHECKING:
    from voiceid import VoiceID
    from voiceid.domain import DueErasure, RetentionRun


@branch(
    "privacy",
    examples=["voiceid privacy report alice --to alice.html", "voiceid privacy run --dry-run"],
)
def command() -> None:
    """Show and erase a person's data, and run the rules of retention.  See docs/consent.md."""


@leaf("run", examples=["voiceid privacy run --dry-run", "voiceid privacy run --yes"], group=command)
@click.option("--dry-run", is_flag=True, help="Only show who would be erased.")
@click.option(
    "--receipts",
    type=FILE,
    metavar="FOLDER",
    help="Write a signed receipt of each erasure to this folder.",
)
@asks_first
def run_command(console: Console, *, dry_run: bool, receipts: Path | None) -> int:
    """Erase the speakers who are due, and list those of the next 30 days.

    The rules are in the settings: privacy.retention and privacy.erase_withdrawn_after_days.
    A service does this each night (privacy.run_at_h).  Each erasure has a signed receipt, which
    --json prints too.  Exits with 62 if data remains; the receipts name it.
    """
    if receipts is not None:
        make_folder(receipts)
    with open_voiceid(console) as vid:
        run = vid.privacy.run(dry_run=True)
        question = f"Erase {counted(len(run.due), 'speaker')}? This cannot be undone."
        if run.due:
            confirm(console, question)
        if not dry_run:
            run = vid.privacy.run()
            _keep(console, vid, run, receipts)
    done = "due" if dry_run else "erased"
    shown = [_due(done, erasure) for erasure in run.due]
    shown += [_due("will go", erasure) for erasure in run.upcoming]
    if run.decisions:
        console.note(f"erased the content of {counted(run.decisions, 'decision')} in the record")
    if shown or console.settings.as_json:
        console.answer(run.to_dict(), table(["", "speaker", "at", "rule"], shown))
    else:
        console.note("no speaker is due to be erased in the next 30 days")
    return say_remains(console, run.receipts)


def _keep(console: Console, vid: VoiceID, run: RetentionRun, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        vid.privacy.keep(run.receipts, folder)
    except VoiceIDError:
        console.json(run.to_dict())  # there is no other copy of the receipts
        raise


def _due(state: str, erasure: DueErasure) -> list[str]:
    return [state, erasure.speaker.name, minute(erasure.due_at), erasure.rule]


@leaf(
    "report",
    examples=[
        "voiceid privacy report alice --to alice.html",
        "voiceid privacy report alice --json",
    ],
    group=command,
)
@name_argument
@click.option("--to", type=FILE, help="Write an HTML page to this file, private to you.")
@click.option(
    "--days",
    type=click.IntRange(min=1, max=36_500),
    default=30,
    show_default=True,
    metavar="N",
    help="How many days of uses to show, from the event file.",
)
@click.option("--vectors", is_flag=True, help="With --json: also the vectors of the samples.")
def report_command(
    console: Console, name: str, *, to: Path | None, days: int, vectors: bool
) -> None:
    """Show all stored data of a person: an HTML page, or with --json one object."""
    if to is None and not console.settings.as_json:
        raise click.UsageError("Give a file for the page (--to FILE), or use --json.")
    with open_voiceid(console) as vid:
        report = vid.privacy.report(name, days=days)
        page = b"" if to is None else vid.privacy.page(report).encode("utf-8")
    if to is not None:
        save(to, page)
        console.note(f"written to {to}")
    if console.settings.as_json:
        console.json(report.to_dict(vectors=vectors))


@leaf(
    "erase",
    examples=["voiceid privacy erase alice --receipt alice-erased.json --yes"],
    group=command,
)
@name_argument
@receipt_option
@click.option("--by", metavar="WHO", help="Who erases (default: the user of the system).")
@asks_first
def erase_command(console: Console, name: str, *, receipt: Path | None, by: str | None) -> int:
    """Erase a speaker, and print a signed receipt.

    The receipt says what was erased, which places were searched for remains, and which backups
    still have the person.  Exits with 62 if data remains; the receipt names it.
    """
    require_new(receipt)
    with open_voiceid(console) as vid:
        speaker = vid.speakers.get(name)
        samples = counted(speaker.n_samples, "sample")
        question = f"Erase {speaker.name} and {samples}? This cannot be undone."
        confirm(console, question)
        erased = vid.privacy.erase(name, erased_by=by or "")
    save_receipt(console, erased, receipt)
    console.answer(erased.to_dict(), receipt_text(erased))
    return say_remains(console, [erased])


@leaf("check", examples=["voiceid privacy check alice-erased.json"], group=command)
@click.argument("receipt", type=FILE)
@click.option(
    "--key", metavar="KEY", help="The public key of the gallery (default: that of this gallery)."
)
def check_command(console: Console, receipt: Path, key: str | None) -> None:
    """Check that a receipt was signed by the gallery and is unchanged; else exits with 73."""
    with open_voiceid(console) as vid:
        checked = vid.privacy.check(receipt, key)
    text = (
        f"valid        signed with the key of the gallery, and not changed\n{receipt_text(checked)}"
    )
    console.answer({"valid": True, **checked.to_dict()}, text)


@leaf("key", examples=["voiceid privacy key"], group=command)
def key_command(console: Console) -> None:
    """Print the public key that verifies receipts, backups and exports."""
    with open_voiceid(console) as vid:
        key = vid.privacy.key()
    console.answer({"algorithm": "Ed25519", "public_key": key}, key)
