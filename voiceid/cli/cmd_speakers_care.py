"""``voiceid speakers inspect``, ``merge`` and ``split``."""

from __future__ import annotations

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import SPEAKER_NAME, leaf, name_argument
from voiceid.cli.speakers_text import inspection_text, merge_text, samples_table
from voiceid.cli.text import counted


@leaf("inspect", examples=["voiceid speakers inspect alice"])
@name_argument
def inspect_command(console: Console, name: str) -> None:
    """Compare a speaker's samples with each other and with every other speaker.

    Shows the cosine of each pair of samples, the agreement of each sample with the others, the
    samples that do not fit, and the nearest other speaker.
    """
    with open_voiceid(console) as vid:
        inspection = vid.speakers.inspect(name)
    console.answer(inspection.to_dict(), inspection_text(inspection))


@leaf(
    "merge",
    short_help="Merge two speakers who are the same person.",
    examples=["voiceid speakers merge alice alise --dry-run"],
)
@name_argument
@click.argument("other", type=SPEAKER_NAME)
@click.option("--force", is_flag=True, help="Merge even if the voices differ.")
@click.option("--dry-run", is_flag=True, help="Show their similarity, change nothing.")
@asks_first
def merge_command(console: Console, name: str, other: str, *, force: bool, dry_run: bool) -> None:
    """Merge two speakers: NAME gets every sample of OTHER, who is removed.

    First shows the similarity of their voices.  Groups are joined; the stricter expiry and standing
    hold.  Different voices are refused (exit code 49).
    """
    with open_voiceid(console) as vid:
        plan = vid.speakers.merge(name, other, dry_run=True)
        if not console.settings.as_json:
            console.result(merge_text(plan))
        question = f"Merge {plan.other.name} into {plan.into.name}? This cannot be undone."
        confirm(console, question)
        done = plan if dry_run else vid.speakers.merge(name, other, force=force)
    if console.settings.as_json:
        console.json(done.to_dict())
    elif done.merged is not None:
        samples = counted(done.merged.n_samples, "sample")
        console.result(f"merged  {done.merged.name} now has {samples}")


@leaf(
    "split",
    short_help="Give the samples that do not fit to a new speaker.",
    examples=["voiceid speakers split alice alise --dry-run"],
)
@name_argument
@click.argument("new_name", type=SPEAKER_NAME)
@click.option(
    "--sample",
    "sample_ids",
    type=int,
    multiple=True,
    metavar="ID",
    help="Move this sample; may be repeated (default: those that do not fit).",
)
@click.option("--dry-run", is_flag=True, help="Show the samples to move, change nothing.")
@click.option("--force", is_flag=True, help="Allow a name that looks like an enrolled one.")
def split_command(
    console: Console,
    name: str,
    new_name: str,
    sample_ids: tuple[int, ...],
    *,
    force: bool,
    dry_run: bool,
) -> None:
    """Move the samples of NAME that do not fit, or the named samples, to a new speaker."""
    with open_voiceid(console) as vid:
        done = vid.speakers.split(name, new_name, sample_ids, force=force, dry_run=dry_run)
    moved = counted(len(done.moved), "sample")
    end = f"dry run  {moved} would go to {new_name}; nothing was changed"
    if done.new is not None:
        end = f"split  {moved} of {name} went to {done.new.name}"
    console.answer(done.to_dict(), f"{samples_table(done.moved)}\n\n{end}")
