"""Changing the model of a `VoiceID` without starting over: the new one hears the kept audio.

The new samples stand beside the old ones, in a space of their own that answers nothing, until
one transaction switches every process.  The old samples stay until they are removed, so that
going back is a change like any other, most of which is done already.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from voiceid.app.bringing_over import (
    REMOVED_AT_ONCE,
    Tell,
    begun,
    hearing_kept,
    prepare,
    progress,
    remove_some,
    require_open,
    some_kept,
)
from voiceid.app.doctor import now_used, thresholds_of
from voiceid.app.observed import changes, finished, migrated
from voiceid.app.parts import Parts
from voiceid.domain import Health, Migration, Sample
from voiceid.errors import ChangeRefused
from voiceid.index.base import Gallery
from voiceid.observability import Change

if TYPE_CHECKING:  # it loads while the models do, or when it is needed
    from voiceid.app.side_by_side import Comparison
    from voiceid.store import Reader, Writer

_TRIES = 5
"""Times that a switch is tried between two enrolments of others, before it makes them wait."""


class Migrating:
    """From one model to another."""

    _parts: Parts

    @property
    def model_in_use(self) -> str:
        """Name of the model that answers: of the settings, or what the gallery was switched to.

        A database of another schema is not asked.
        """
        return now_used(self._parts).config.model

    def migration(self) -> Migration | None:
        """Return how far the newest change of the model is; None if there never was one."""
        with self._parts.store.read() as reader:
            changes = reader.switches.list()
            return progress(self._parts, reader, changes[-1], {}) if changes else None

    def compare_kept(self, to: str) -> Comparison:
        """Compare the model in use with another, on kept recordings of up to some 20 speakers.

        Raises
        ------
        NotEnoughSpeech
            Too few recordings are kept.
        ModelError, AudioError, StoreError
        """
        from voiceid.app.side_by_side import compare_models  # noqa: PLC0415 - for this alone

        both = [hearing_kept(self._parts, name) for name in (self._parts.in_use.config.model, to)]
        return compare_models(both[0], both[1], some_kept(self._parts))

    @changes(Change.MIGRATE, migrated)
    def migrate(self, to: str, *, tell: Tell | None = None) -> Migration:
        """Have another model hear the kept audio of everybody, beside the model in use.

        Nothing that is answered changes before :meth:`switch_model`.  It is done in short
        transactions by threads of the lowest priority, while others verify and enrol; one that
        was killed goes on when it is called again.

        Parameters
        ----------
        to : str
            Name of the model.
        tell : callable, optional
            Is told how many recordings are heard, of how many.

        Raises
        ------
        ChangeRefused
            The model is in use already, nobody is enrolled, or another change is being prepared.
        ModelError, StoreError, ConfigError
        """
        parts, target = self._parts, hearing_kept(self._parts, to)
        change = begun(parts, target)
        unusable = prepare(parts, target, change, tell)
        with parts.store.read() as reader:
            rule = target.verifying_rule()
            rule = rule.with_calibration(reader.calibrations.in_use(change.to_space))
            found = progress(parts, reader, change, unusable)
        thresholds = thresholds_of(rule, change.to_space)
        if thresholds.health is Health.ERROR:
            parts.notify(f"{thresholds.message}, until `voiceid calibrate --model {to}`")
        parts.each_index(_save, [change.to_space])
        return found

    @changes(Change.SWITCH_MODEL, migrated)
    def switch_model(
        self, *, leave: Sequence[str] = (), leave_all: bool = False, tell: Tell | None = None
    ) -> Migration:
        """Let the model that was prepared take the place of the one in use, in every process.

        Whoever was enrolled meanwhile is heard first.  It is one transaction: at its end
        everybody who can come over has, and the next answer of any process is of the new model.

        Parameters
        ----------
        leave : sequence of str
            Speakers who must enrol again, and may be left behind until then.
        leave_all : bool
            Everybody may who must.
        tell : callable, optional
            See :meth:`migrate`.

        Raises
        ------
        ChangeRefused
            Nothing is being prepared, or somebody would be left behind.  Nothing changed.
        SpeakerNotFound
        ModelError, StoreError, ConfigError
        """
        parts = self._parts
        with parts.store.read() as reader:
            change = require_open(reader)
            target = hearing_kept(parts, reader.spaces.model_of(change.to_space))
            allowed = {reader.speakers.get(name).name for name in leave}
        for attempt in itertools.count():
            unusable = prepare(parts, target, change, tell)
            with parts.store.read() as reader:
                found, seen = progress(parts, reader, change, unusable), reader.feed.revision()
            with parts.store.write() as writer:
                require_open(writer, change)
                if writer.feed.revision() != seen:  # somebody came, or went
                    if attempt < _TRIES:
                        continue
                    found = progress(parts, writer, change, unusable)
                if found.waiting:
                    continue
                if not leave_all:
                    _require_nobody_left(found, allowed)
                writer.switches.switch(change)
                return progress(parts, writer, writer.switches.list()[-1], unusable)
        raise AssertionError("it is tried until it is done")

    @changes(Change.CANCEL_MIGRATION, migrated)
    def cancel_migration(self) -> Migration:
        """Give up a change that was not switched: remove what was prepared; return what it was.

        Raises
        ------
        ChangeRefused
            Nothing is being prepared.
        StoreError
        """
        parts = self._parts
        with parts.store.read() as reader:
            change = require_open(reader)
            found = progress(parts, reader, change, {})
        remove_some(
            parts,
            lambda writer: writer.switches.prepared(require_open(writer, change), REMOVED_AT_ONCE),
            lambda writer: writer.switches.forget(change),
        )
        return found

    @changes(Change.FINISH_MIGRATION, finished)
    def finish_migration(self) -> int:
        """Remove the samples of the models that the one in use took the place of.

        After that there is no way back but through the kept audio.  Whoever must enrol again
        keeps theirs until then.

        Returns
        -------
        int
            How many were removed.

        Raises
        ------
        ChangeRefused
            Nothing was switched, or another change is being prepared.
        StoreError
        """
        parts = self._parts

        def left_over(writer: Writer) -> list[Sample]:
            changes = writer.switches.list()
            if not changes or changes[-1].switched_at is None:
                raise ChangeRefused(
                    "there is nothing to finish: the model was not switched",
                    hint="`voiceid migrate --status` shows how far it is.",
                )
            return writer.switches.left_over(changes[-1].to_space, REMOVED_AT_ONCE)

        return remove_some(parts, left_over, lambda _: None)


def _save(index: Gallery, reader: Reader) -> None:
    """Have the index file ready before the switch."""
    index.sync(reader)
    index.save()


def _require_nobody_left(found: Migration, allowed: Collection[str]) -> None:
    left = [name for name in found.behind if name not in allowed]
    if left:
        raise ChangeRefused(
            f"{len(left)} of {found.speakers} speakers would be left behind: {', '.join(left[:10])}"
            + ("" if len(left) <= 10 else ", ..."),  # noqa: PLR2004 - as many as a line holds
            hint="Nothing was switched. Enrol them again with --keep-audio, or switch with"
            " --leave NAME or --leave-all: until they enrol again they are not accepted.",
        )
