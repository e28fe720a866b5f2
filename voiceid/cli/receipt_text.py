"""Receipts of erasures as text, and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import FILE
from voiceid.cli.output_files import save
from voiceid.cli.text import counted, fields, json_line
from voiceid.errors import ErasureIncomplete, VoiceIDError

if TYPE_CHECKING:
    from voiceid.domain import Receipt

receipt_option = click.option("--receipt", type=FILE, help="Write the receipt to this new file.")


def require_new(file: Path | None) -> None:
    """Raise UsageError if the file of a receipt exists, or its folder does not."""
    if file is not None and file.exists():
        raise click.UsageError(f"{file} exists already; name a new file.")
    if file is not None and not file.parent.is_dir():
        raise click.UsageError(f"{file.parent} is not a folder; nothing was erased.")


def save_receipt(console: Console, receipt: Receipt, file: Path | None) -> None:
    """Write a receipt to a file; if that fails, print it, since there is no second one."""
    if file is None:
        return
    try:
        save(file, f"{json_line(receipt.to_dict())}\n".encode())
    except VoiceIDError:
        console.json(receipt.to_dict())
        raise


def say_remains(console: Console, receipts: Sequence[Receipt]) -> int:
    """Report remaining data; return the exit code."""
    remains = dict.fromkeys(line for receipt in receipts for line in receipt.facts["remains"])
    for line in remains:
        console.warn(line)
    return ErasureIncomplete.exit_code if remains else exit_codes.DONE


def receipt_text(receipt: Receipt) -> str:
    """Return a receipt for people."""
    facts: Mapping[str, Any] = receipt.facts
    erased, searched = (
        facts["erased"],
        [place for place in facts["searched"] if place["found"] is not None],
    )
    holding = [f"{place['where']} ({place['what']})" for place in searched if place["found"]]
    rows = {
        "erased": f"{facts['speaker']['name']}, {counted(len(erased['samples']), 'sample')}",
        "at": facts["erased_at"],
        "by": facts["erased_by"],
        "recordings": str(len(erased["recordings"])),
        "key": erased["key"],
        "searched": counted(len(searched), "place"),
        "found in": ", ".join(holding) or "none of them",
        "signed with": receipt.public_key,
    }
    for fit in facts["learned"]:
        shown = rows.get(fit["rule"], "statistics of many:")
        rows[fit["rule"]] = f"{shown} {fit['kind']} {fit['number']}"
    if facts["backups"]:
        gone = {True: "", False: " (missing now)"}
        paths = (backup["path"] + gone[backup["is_there"]] for backup in facts["backups"])
        rows["still in"] = ", ".join(paths)
    return fields(rows)
