"""The switch from one model to another: the new one hears the kept audio.

The new samples stand beside the old ones, in a space of their own that answers nothing, until
one transaction switches every process.  The old samples stay until they are removed, so that
going back is a switch like any other, most of which is done already.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voiceid.audio import AudioSource
from voiceid.domain import Health, ModelSwitch, Sample, SwitchStatus
from voiceid.enrollment.transfer import Tell, Transfer, require_open
from voiceid.errors import AudioError, ChangeRefused
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.resources.examination import thresholds_of, waiting_spaces
from voiceid.speech.speaker_model import SpeakerModel

if TYPE_CHECKING:  # it loads while the models do, or when it is needed
    from voiceid.evaluation.comparison import Comparison
    from voiceid.store import Writer

_TRIES = 5
"""Times that a switch is tried between two enrolments of others, before it makes them wait."""
_REMOVED_AT_ONCE = 200
"""Samples, in one transaction."""
_COMPARED, _OF_EACH = 60, 3
"""Recordings that two models are compared on, and at most so many of a speaker."""


class Switch(OfSession):
    """From the model in use to another."""

    def status(self) -> SwitchStatus | None:
        """Return the progress of the newest switch, or None."""
        with self._session.store.read() as reader:
            changes = reader.switches.list()
            return self._transfer.progress(reader, changes[-1], {}) if changes else None

    def compare(self, to: str) -> Comparison:
        """Compare the model in use with another, on kept recordings of up to some 20 speakers.

        Raises NotEnoughSpeech when too few are kept, ModelError, AudioError, StoreError.
        """
        from voiceid.evaluation.comparison import Side, compare_models  # noqa: PLC0415

        session = self._session
        models = [self._hearing(name) for name in (session.model.card.name, to)]
        a_side, b_side = (Side.of(model, session.models) for model in models)
        return compare_models(a_side, b_side, self._some_kept())

    def prepare(self, to: str, *, tell: Tell | None = None) -> SwitchStatus:
        """Have another model hear the kept audio of every speaker, beside the model in use.

        Nothing that is answered changes before :meth:`commit`.  It is done in short
        transactions by threads of the lowest priority, while others verify and enrol; one that
        was killed goes on when it is called again.

        Parameters
        ----------
        to : str
            Name of the model.
        tell : callable, optional
            Receives how many recordings are heard, of how many.

        Raises
        ------
        ChangeRefused
            The model is in use already, no speaker is enrolled, or another switch is being
            prepared.
        ModelError, StoreError, ConfigError
        """
        session = self._session
        with session.recorded(ChangeKind.PREPARE_SWITCH) as record:
            target = self._hearing(to)
            change = self._begun(target)
            unusable = self._transfer.prepare(target, change, tell)
            with session.store.read() as reader:
                calibration = reader.calibrations.in_use(change.to_space)
                status = self._transfer.progress(reader, change, unusable)
            for reason in unusable.values():
                session.notify(f"left out {reason}")
            rule = session.policy_of(target).card.with_calibration(calibration)
            finding = thresholds_of(rule, change.to_space)
            if finding.health is Health.ERROR:
                session.notify(f"{finding.message}, until `voiceid calibrate --model {to}`")
            session.sync_indexes()  # ready before the switch
            record(**_facts(status))
            return status

    def commit(
        self, *, leave: Sequence[str] = (), leave_all: bool = False, tell: Tell | None = None
    ) -> SwitchStatus:
        """Let the model that was prepared take the place of the one in use, in every process.

        What was enrolled meanwhile is heard first.  It is one transaction: at its end every
        speaker who can come over has, and the next answer of any process is of the new model.

        Parameters
        ----------
        leave : sequence of str
            Speakers who must enrol again, and may be left behind until then.
        leave_all : bool
            Leave all of these behind.
        tell : callable, optional
            See :meth:`prepare`.

        Raises
        ------
        ChangeRefused
            Nothing is being prepared, or a speaker would be left behind.  Nothing changed.
        SpeakerNotFound
        ModelError, StoreError, ConfigError
        """
        session = self._session
        with session.recorded(ChangeKind.SWITCH_MODEL):
            with session.store.read() as reader:
                change = require_open(reader)
                target = self._hearing(reader.spaces.model_of(change.to_space))
                allowed = {reader.speakers.get(name).name for name in leave}
            for attempt in itertools.count():
                unusable = self._transfer.prepare(target, change, tell)
                with session.store.read() as reader:
                    seen = reader.revision
                with session.change(ChangeKind.SWITCH_MODEL) as opened:
                    writer = opened.writer
                    require_open(writer, change)
                    if writer.revision != seen and attempt < _TRIES:
                        continue  # a speaker was enrolled or removed meanwhile
                    status = self._transfer.progress(writer, change, unusable)
                    if status.waiting:
                        continue
                    if not leave_all:
                        _require_none_left(status, allowed)
                    writer.switches.switch(change)
                    switched = writer.switches.list()[-1]
                    status = self._transfer.progress(writer, switched, unusable)
                    opened.record(**_facts(status))
                    return status
        raise AssertionError("it is tried until it is done")

    def cancel(self) -> SwitchStatus:
        """Cancel a switch that was not committed, remove its samples, and return it.

        Raises StoreError, and ChangeRefused when nothing is being prepared.
        """
        session = self._session
        with session.recorded(ChangeKind.CANCEL_SWITCH) as record:
            with session.store.read() as reader:
                change = require_open(reader)
                status = self._transfer.progress(reader, change, {})
            self._remove(
                ChangeKind.CANCEL_SWITCH,
                lambda writer: writer.switches.prepared(
                    require_open(writer, change), _REMOVED_AT_ONCE
                ),
                lambda writer: writer.switches.forget(change),
            )
            record(**_facts(status))
            return status

    def finish(self) -> int:
        """Remove the samples of earlier models; return their number.

        After that there is no way back but through the kept audio.  Speakers who must enrol
        again keep theirs until then.  Raises StoreError, and ChangeRefused when nothing was
        switched, or another switch is being prepared.
        """

        def left_over(writer: Writer) -> list[Sample]:
            changes = writer.switches.list()
            if not changes or changes[-1].switched_at is None:
                raise ChangeRefused(
                    "there is nothing to finish: the model was not switched",
                    hint="`voiceid models switch status` shows its state.",
                )
            return writer.switches.left_over(changes[-1].to_space, _REMOVED_AT_ONCE)

        with self._session.recorded(ChangeKind.FINISH_SWITCH) as record:
            n_removed = self._remove(ChangeKind.FINISH_SWITCH, left_over, lambda _: None)
            record(samples=n_removed)
            return n_removed

    @property
    def _transfer(self) -> Transfer:
        session = self._session
        floor_s = session.config.enrollment.min_speech_s
        return Transfer(session.store, session.change, session.kept_audio, floor_s)

    def _hearing(self, model: str) -> SpeakerModel:
        """Return a model that hears kept audio, which has one channel."""
        return self._session.speaker_model(model, channel="mix")

    def _begun(self, target: SpeakerModel) -> ModelSwitch:
        """Return the switch to the target's space: begun now, or by an earlier run."""
        model, configured = target.card.name, self._session.named_model.space.id
        with self._session.change(ChangeKind.PREPARE_SWITCH) as opened:
            writer = opened.writer
            current = writer.spaces.current(configured)
            if current == target.space.id:
                current = next(iter(waiting_spaces(writer, target.space)), current)
            if current == target.space.id:
                raise ChangeRefused(
                    f"the gallery uses {model} already", hint="Choose one: `voiceid models list`."
                )
            changes = writer.switches.list()
            if changes and changes[-1].switched_at is None:
                if changes[-1].to_space != target.space.id:
                    raise ChangeRefused(
                        f"a switch to {writer.spaces.model_of(changes[-1].to_space)} is being"
                        " prepared",
                        hint="Commit or cancel it first: `voiceid models switch cancel`.",
                    )
                return changes[-1]
            if not writer.centroids.count(current):
                raise ChangeRefused(
                    f"no speaker is enrolled in {current}, so there is nothing to convert",
                    hint=f"Set `model: {model}` in {self._session.config.file}.",
                )
            return writer.switches.begin(current, target.space)

    def _remove(
        self,
        kind: ChangeKind,
        some: Callable[[Writer], list[Sample]],
        last: Callable[[Writer], Any],
    ) -> int:
        """Remove samples, some in each transaction, and do ``last`` in the last; count them."""
        n_removed = 0
        while True:
            with self._session.change(kind) as opened:
                batch = some(opened.writer)
                if not batch:
                    last(opened.writer)
                    return n_removed
                opened.writer.samples.remove(batch)
            n_removed += len(batch)

    def _some_kept(self) -> Iterator[tuple[str, AudioSource]]:
        """Yield recordings of randomly chosen speakers, always the same."""
        audio, space_id = self._session.kept_audio, self._session.model.space.id
        recordings = audio.recordings()
        chosen: list[tuple[str, str]] = []
        with self._session.store.read() as reader:
            speakers = list(reader.speakers.all()) if recordings else []
            random.Random(0).shuffle(speakers)  # noqa: S311 - a sample, not a secret
            for speaker in speakers:
                digests = [s.pcm_sha256 for s in reader.samples.of(speaker.id, space_id)]
                available = [d for d in digests if audio.stored_hash(d) in recordings]
                chosen += [(speaker.name, digest) for digest in available[:_OF_EACH]]
                if len(chosen) >= _COMPARED:
                    break
        for name, recording in chosen:
            with contextlib.suppress(AudioError):  # damage is reported where it matters
                yield name, audio.source(recording)


def _facts(status: SwitchStatus) -> dict[str, Any]:
    """Return the facts of a switch's event."""
    comes_over = status.speakers - len(status.behind)
    facts = {"model": status.to_model, "space": status.change.to_space}
    return {**facts, "speakers": comes_over, "samples": status.prepared}


def _require_none_left(status: SwitchStatus, allowed: Collection[str]) -> None:
    behind = [name for name in status.behind if name not in allowed]
    if behind:
        names = ", ".join(behind[:10]) + ("" if len(behind) <= 10 else ", ...")  # noqa: PLR2004 - a line
        raise ChangeRefused(
            f"{len(behind)} of {status.speakers} speakers would be left behind: {names}",
            hint="Nothing was switched. Enrol them again with --keep-audio, or commit with"
            " --leave NAME or --leave-all: until they enrol again they are not accepted.",
        )
