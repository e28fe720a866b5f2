"""An examination of the whole installation; it changes and downloads nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.audio import codec_versions
from voiceid.decision.aims import SetThreshold
from voiceid.decision.rule import DecisionRule, percent
from voiceid.domain import DatabaseUrl, EmbeddingSpace, Finding, Health
from voiceid.erasure import unused_audio
from voiceid.errors import StoreError, ThresholdUnavailable, VoiceIDError
from voiceid.model_in_use import ModelInUse
from voiceid.models import runtime
from voiceid.permissions import exposures
from voiceid.session import Session, trusted_paths
from voiceid.speech.speaker_model import DETECTOR, SECOND

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

_TIGHT_BYTES, _FULL_BYTES = 1 << 30, 100 << 20
"""Below the first amount of free space there is a warning, below the second an error."""

_REMOVES = "`voiceid speakers purge --expired` or the next change removes it."

Check = Callable[[Session], Iterator[Finding]]


def examine(session: Session) -> Iterator[Finding]:
    """Yield the findings, subject by subject; an error in one check does not stop the others."""
    checks: tuple[tuple[str, Check], ...] = (
        ("settings", _settings),
        ("engine", _engine),
        ("models", _models),
        ("database", _database),
        ("codecs", _codecs),
        ("processors", _processors),
        ("disk", _disk),
        ("clock", _clock),
        ("access", _access),
    )
    for subject, check in checks:
        try:
            yield from check(session)
        except VoiceIDError as error:
            yield Finding(subject, Health.ERROR, error.message, error.hint)


def model_of(session: Session) -> ModelInUse:
    """Return the model in use from a current database, else the configured model."""
    return session.model if _is_current(session) else session.named_model


def thresholds_of(rule: DecisionRule, space_id: str) -> Finding:
    """Return whether any speaker can be accepted with the thresholds in use."""
    if isinstance(rule.criterion, SetThreshold):
        message = f"set by hand in {rule.criterion.source}, for {space_id}"
        return Finding("thresholds", Health.OK, message)
    target = f"FMR {percent(rule.aim.rate)}"
    if rule.calibration is not None:
        try:
            rule.calibration.calibration.llr_at(rule.aim.rate)
        except ThresholdUnavailable as error:
            return Finding("thresholds", Health.ERROR, error.message, error.hint)
        message = f"calibration {rule.calibration.id} of {space_id}, {target}"
        return Finding("thresholds", Health.OK, message)
    if rule.aim.rate < rule.least_fmr * (1.0 - 1e-9):
        message = f"nothing was measured in {space_id} for {target}: no speaker is accepted"
        hint = "Run `voiceid calibrate`, or stop the adaptation: `voiceid adaptations use none`."
        return Finding("thresholds", Health.ERROR, message, hint)
    return Finding("thresholds", Health.OK, f"card {rule.model}, {target}")


def waiting_spaces(reader: Reader, space: EmbeddingSpace) -> list[str]:
    """Return the spaces of the same encoder with speakers to convert, the raw space first.

    These speakers were enrolled without a compensation, or with another one.
    """
    spaces = [id_ for id_ in reader.spaces.of_encoder(space) if reader.centroids.count(id_)]
    return sorted(spaces, key=lambda id_: id_ != space.raw.id)


def way_over(waiting: str, space: EmbeddingSpace, *, named: bool = True) -> str:
    """Return how to convert speakers who are enrolled in another space of the same encoder.

    ``named``: the settings name the model.
    """
    how = "without audio" if waiting == space.raw.id else "with their kept audio"
    option = "" if named else f" --model {space.model}"
    return (
        f"Convert them, {how}: `voiceid models switch prepare {space.model}{option}`, then"
        f" `voiceid models switch commit{option}`."
    )


def _settings(session: Session) -> Iterator[Finding]:
    yield Finding("settings", Health.OK, f"config.yaml: {session.config.file_text}")


def _engine(session: Session) -> Iterator[Finding]:
    import voiceid.index.faiss_index  # noqa: F401, PLC0415 - what is missing is an error

    engine = session.config.runtime
    runtime.provider_names(engine)
    used = ", ".join(engine.providers)
    yield Finding("engine", Health.OK, f"{runtime.engine_version()}; in use: {used}")


def _models(session: Session) -> Iterator[Finding]:
    configured, used = session.named_model.card.name, model_of(session).card.name
    if used != configured:
        message = f"the gallery was switched from {configured} to {used}, which is in use"
        hint = f"Set `model: {used}` in {session.config.file}."
        yield Finding("models", Health.WARNING, message, hint)
    for name in (used, DETECTOR, SECOND):
        if session.models.is_installed(name):
            result = session.models.verify(name)
            message = f"{name} is unchanged, distance {result.distance:.1e} to its reference"
            yield Finding("models", Health.OK, message)
        else:
            yield _missing(name, offline=session.config.offline)


def _missing(name: str, *, offline: bool) -> Finding:
    message, hint = f"{name} is not installed", f"Run `voiceid models pull {name}`"
    if name == SECOND:
        message += f": shouted speech that {DETECTOR} does not detect gets no answer"
        return Finding("models", Health.WARNING, message, f"{hint}.")
    health = Health.ERROR if offline else Health.WARNING
    return Finding("models", health, message, f"{hint}; otherwise the first use downloads it.")


def _database(session: Session) -> Iterator[Finding]:
    from voiceid.store import maintenance, upgrade  # noqa: PLC0415 - for this alone

    status = upgrade.status(session.database)
    if status.state is upgrade.SchemaState.MISSING:
        message = f"there is no database {session.database} yet"
        yield Finding("database", Health.WARNING, message, "The first enrolment creates it.")
        return
    if status.state is upgrade.SchemaState.NEWER:
        raise upgrade.too_new(session.database, status)
    if status.state is upgrade.SchemaState.OUTDATED:
        message = f"schema {status.current}, but this voiceid writes {status.head}"
        kept = "" if isinstance(session.database, DatabaseUrl) else "; a copy is kept"
        hint = f"The next command upgrades it{kept}."
        yield Finding("database", Health.WARNING, message, hint)
        return
    problems = maintenance.check(session.store)
    hint = "Restore a backup: `voiceid database restore FILE`; see `voiceid database check`."
    for problem in problems:
        yield Finding("database", Health.ERROR, problem, hint)
    if not problems:
        with session.store.read() as reader:
            n_speakers = reader.speakers.count()
        yield Finding("database", Health.OK, f"sound, {n_speakers} enrolled, schema {status.head}")
        yield from _remains(session)
        yield from _spaces(session)
        yield from _index(session)
        back_end = session.model.back_end()
        yield thresholds_of(back_end.rule, back_end.space.id)
        yield from _groups(session)
        yield from _fingerprints(session)


def _groups(session: Session) -> Iterator[Finding]:
    """Whether a policy applies to no speaker, e.g. because of a misspelt group."""
    with session.store.read() as reader:
        sizes = reader.speakers.group_sizes()
    for name in sorted(session.config.groups.keys() - sizes.keys()):
        message = f"the settings have a policy for the group {name}, but no speaker is in it"
        hint = f"There are: {', '.join(sizes) or 'no groups'}. `voiceid speakers edit NAME --group`"
        yield Finding("groups", Health.WARNING, message, f"{hint} adds one.")


def _remains(session: Session) -> Iterator[Finding]:
    """Whether erased speakers left data."""
    if message := unused_audio(session.store, session.kept_audio):
        yield Finding("erasure", Health.WARNING, message, _REMOVES)
    with session.store.read() as reader:
        pending = reader.erasures.pending()
    if pending is not None:
        message = f"data removed since {pending:%Y-%m-%d %H:%M} UTC may still be in files"
        yield Finding("erasure", Health.ERROR, message, _REMOVES)


def _spaces(session: Session) -> Iterator[Finding]:
    """Whether the enrolled speakers are in the space of decisions."""
    model = session.model
    space_id = model.space.id
    with session.store.read() as reader:
        n_here, n_all = reader.centroids.count(space_id), reader.speakers.count()
        elsewhere = {id_: n for id_, n in reader.centroids.counts().items() if id_ != space_id}
        waiting = waiting_spaces(reader, model.space)
    if n_here or not n_all:
        return
    where = ", ".join(f"{n} in {space}" for space, n in sorted(elsewhere.items()))
    advice = "Use the model and the speech settings of the enrolment, or enrol again."
    if waiting:
        advice = way_over(waiting[0], model.space)
    yield Finding(
        "gallery",
        Health.ERROR,
        f"no speaker is enrolled in {space_id}, the space of decisions; {where or 'none'}",
        advice,
    )


def _fingerprints(session: Session) -> Iterator[Finding]:
    """Whether replays of the enrolled recordings would be recognised."""
    if not session.config.replay.check:
        return
    with session.store.read() as reader:
        missing = reader.fingerprints.missing()
    if missing:
        message = f"{missing} enrolled recordings have no fingerprint (replay.check is on)"
        hint = (
            "`voiceid index rebuild` makes them from kept audio, `voiceid enroll --replace` from"
            " the recordings."
        )
        yield Finding("replays", Health.WARNING, message, hint)
    else:
        message = "every enrolled recording has a fingerprint"
        yield Finding("replays", Health.OK, message)


def _index(session: Session) -> Iterator[Finding]:
    for status in session.each_index(lambda index, reader: index.status(reader)):
        message = f"{status.space}: {status.state}, {status.vectors or 0} of {status.enrolled}"
        if status.state == "damaged":
            hint = "The next search rebuilds it; if this happens again, check the disk."
            yield Finding("index", Health.WARNING, message, hint)
        else:
            yield Finding("index", Health.OK, message)


def _codecs(session: Session) -> Iterator[Finding]:
    del session
    yield Finding("codecs", Health.OK, codec_versions())


def _processors(session: Session) -> Iterator[Finding]:
    granted, threads = runtime.cpu_limit(), session.config.runtime.threads
    busy = session.named_model.speaker_model.workers * threads
    message = f"{granted} granted, {busy} in use at most (workers times threads)"
    if busy > granted:
        hint = "Decrease runtime.workers or runtime.threads: more than granted only slows down."
        yield Finding("processors", Health.WARNING, message, hint)
    else:
        yield Finding("processors", Health.OK, message)


def _disk(session: Session) -> Iterator[Finding]:
    data = session.config.data
    folder = next(path for path in (data, *data.parents) if os.path.isdir(path))
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:.1f} GB free in {folder}"
    if free >= _TIGHT_BYTES:
        yield Finding("disk", Health.OK, message)
    else:
        health = Health.ERROR if free < _FULL_BYTES else Health.WARNING
        yield Finding("disk", health, message, "Free some space: enrolments need it.")


def _clock(session: Session) -> Iterator[Finding]:
    now = datetime.now(UTC)
    message = f"{now:%Y-%m-%d %H:%M} UTC"
    newest = None
    if _is_current(session):
        with session.store.read() as reader:
            newest = reader.newest_row()
    if newest is not None and newest > now:
        hint = (
            "Set the clock: until then no speaker with an expiry is accepted. If it is right now,"
            " `voiceid privacy run` corrects the dates of the time when it was ahead."
        )
        message += f", but the newest row of the database is from {newest:%Y-%m-%d %H:%M}"
        yield Finding("clock", Health.WARNING, message, hint)
    else:
        yield Finding("clock", Health.OK, message)


def _access(session: Session) -> Iterator[Finding]:
    """Whether other users may write to files that affect decisions."""
    exposed_paths = exposures(trusted_paths(session.config))
    for exposed in exposed_paths:
        health = Health.ERROR if exposed.grave else Health.WARNING
        yield Finding("access", health, exposed.message, exposed.hint)
    if not exposed_paths:
        message = "permissions: no other user may write to the data, the models or the settings"
        yield Finding("access", Health.OK, message)


def _is_current(session: Session) -> bool:
    """Whether there is a database that can be read without an upgrade."""
    from voiceid.store import upgrade  # noqa: PLC0415 - for this alone

    try:
        return upgrade.status(session.database).state is upgrade.SchemaState.CURRENT
    except StoreError:  # `_database` reports it
        return False
