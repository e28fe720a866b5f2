"""``voiceid speakers edit``, ``disable``, ``enable`` and ``purge``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import consent_options, details_options, leaf, name_argument
from voiceid.cli.receipt_text import (
    receipt_option,
    receipt_text,
    require_new,
    save_receipt,
    say_remains,
)
from voiceid.cli.speakers_text import facts_text
from voiceid.cli.text import counted, minute

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import Consent, SpeakerDetails


@leaf(
    "edit",
    short_help="Change the groups, the metadata, the expiry and the consents of a speaker.",
    examples=[
        "voiceid speakers edit alice --group lobby --meta badge=4711 --expires 2027-01-31",
        "voiceid speakers edit alice --consent 2026-03 --purpose door",
    ],
)
@name_argument
@details_options
@consent_options
@click.option(
    "--no-group", "not_groups", multiple=True, metavar="GROUP", help="Remove from a group."
)
@click.option("--no-meta", multiple=True, metavar="KEY", help="Remove this metadata.")
@click.option("--no-expiry", is_flag=True, help="Remove the expiry.")
def edit_command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    name: str,
    details: SpeakerDetails,
    consents: tuple[Consent, ...],
    not_groups: tuple[str, ...],
    no_meta: tuple[str, ...],
    no_expiry: bool,
) -> None:
    """Change the details of a speaker; the samples stay.

    A consent is recorded in addition to earlier ones.
    """
    for key in details.metadata.keys() & set(no_meta):
        raise click.UsageError(f"The metadata {key} is both given and removed.")
    details = replace(
        details,
        not_groups=not_groups,
        metadata={**details.metadata, **dict.fromkeys(no_meta)},
        never_expires=no_expiry,
        consents=consents,
    )
    if details.changes_nothing:
        raise click.UsageError("Nothing to change was given.")
    _change(console, name, details)


@leaf("disable", examples=["voiceid speakers disable alice"])
@name_argument
def disable_command(console: Console, name: str) -> None:
    """Stop accepting a speaker; nothing is erased.

    The voice is still compared, so that it is not taken for a similar speaker.
    """
    _enable(console, name, enabled=False)


@leaf(
    "enable",
    short_help="Accept a disabled speaker again.",
    examples=["voiceid speakers enable alice"],
)
@name_argument
def enable_command(console: Console, name: str) -> None:
    """Accept a disabled speaker again; an expiry does not change."""
    _enable(console, name, enabled=True)


def _enable(console: Console, name: str, *, enabled: bool) -> None:
    from voiceid.domain import SpeakerDetails  # noqa: PLC0415 - loads numpy

    _change(console, name, SpeakerDetails(enabled=enabled))


def _change(console: Console, name: str, details: SpeakerDetails) -> None:
    with open_voiceid(console) as vid:
        speaker = vid.speakers.edit(name, details)
    console.answer(speaker.to_dict(), facts_text(speaker))


@leaf("withdraw", examples=["voiceid speakers withdraw alice"])
@click.option("--recorded-by", metavar="WHO", help="Who records this (default: the system's user).")
@receipt_option
@name_argument
def withdraw_command(
    console: Console, name: str, recorded_by: str | None, receipt: Path | None
) -> int:
    """Withdraw the consent of a speaker, who is no longer accepted.

    The speaker is erased after privacy.erase_withdrawn_after_days (default 30), by `voiceid privacy
    run` or a service; with 0 at once, with a signed receipt, and the exit code 62 if data
    remains.
    """
    require_new(receipt)
    with open_voiceid(console) as vid:
        done = vid.speakers.withdraw(name, recorded_by or "")
    withdrawn = f"withdrawn  {done.speaker.name}: "
    if done.receipt is None:
        text = f"{withdrawn}to be erased at {minute(done.erase_at)}"
        console.answer(done.to_dict(), text)
        return exit_codes.DONE
    save_receipt(console, done.receipt, receipt)
    console.answer(done.to_dict(), f"{withdrawn}erased\n{receipt_text(done.receipt)}")
    return say_remains(console, [done.receipt])


@leaf(
    "purge",
    short_help="Erase every speaker who is expired or damaged.",
    examples=[
        "voiceid speakers purge --expired --dry-run",
        "voiceid speakers purge --damaged --dry-run",
    ],
)
@click.option("--expired", is_flag=True, help="Erase every speaker who has expired.")
@click.option(
    "--damaged", is_flag=True, help="Erase every speaker whose rows in the database cannot be read."
)
@click.option("--dry-run", is_flag=True, help="Only show who would be erased.")
@asks_first
def purge_command(console: Console, *, expired: bool, damaged: bool, dry_run: bool) -> None:
    """Erase expired or damaged speakers: names, samples and vectors, also from the index.

    A damaged speaker stops questions to the whole gallery.  Restore a backup from before the damage
    or, without one, erase the speaker and enrol again.
    """
    if expired == damaged:
        raise click.UsageError("say which speakers: --expired or --damaged")
    with open_voiceid(console) as vid:
        if damaged:
            _purge_damaged(console, vid, dry_run=dry_run)
        else:
            _purge_expired(console, vid, dry_run=dry_run)


def _purge_expired(console: Console, vid: VoiceID, *, dry_run: bool) -> None:
    number = counted(len(vid.speakers.purge_expired(dry_run=True)), "speaker")
    question = f"Erase {number} who expired? This cannot be undone."
    confirm(console, question)
    erased = vid.speakers.purge_expired(dry_run=dry_run)
    for speaker in erased:
        console.answer(
            {"erased": not dry_run, "speaker": speaker.to_dict()},
            f"{'expired' if dry_run else 'erased'}  {speaker.name}",
        )
    if not erased:
        console.note("no speaker has expired")


def _purge_damaged(console: Console, vid: VoiceID, *, dry_run: bool) -> None:
    damaged = vid.speakers.purge_damaged(dry_run=True)
    if damaged and not dry_run:
        listed = "".join(f"\n  {damage}" for damage in damaged.values())
        question = f"Erase {counted(len(damaged), 'speaker')}?{listed}\nThis cannot be undone."
        confirm(console, question)
        damaged = vid.speakers.purge_damaged()
    for speaker_id, why in damaged.items():
        facts = {"erased": not dry_run, "speaker_id": speaker_id, "damage": why}
        console.answer(facts, f"{'damaged' if dry_run else 'erased'}  speaker {speaker_id}: {why}")
    if not damaged:
        console.note("no speaker is damaged")
