"""The audit chain: every change has its row, nothing is changed unseen, and people can leave it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from gallery_checks import started
from gallery_worker import opened
from sqlalchemy import update

from voiceid import VoiceID
from voiceid.domain import DatabaseUrl, SpeakerDetails
from voiceid.domain.audit_chain import NO_HASH
from voiceid.errors import AuditBroken, FileNotWritten, StoreError
from voiceid.observability import ChangeKind
from voiceid.store.tables import audit_events

KILLS = 3


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | DatabaseUrl:
    """Where a gallery is: a file in a data folder, or a database of a server."""
    if request.param == "sqlite":
        return tmp_path / "data" / "voiceid.sqlite3"
    new: Callable[[str], DatabaseUrl] = request.getfixturevalue("new_database")
    return new("postgresql")


def changed(vid: VoiceID) -> None:
    """Make a change of each of some kinds."""
    vid.speakers.add("Xanthippe")
    vid.speakers.add("Zebedee")
    vid.speakers.edit("Zebedee", SpeakerDetails(metadata={"badge": "7"}))
    vid.speakers.rename("Zebedee", "Zacharias")
    vid.keys.create("door", ["verify"])
    vid.speakers.remove("Xanthippe")


KINDS = [
    *("configuration", "enroll", "enroll", "edit", "rename", "create_key", "erasure", "remove")
]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_every_change_has_its_row_and_who_is_erased_leaves_the_chain(
    place: Path | DatabaseUrl, tmp_path: Path, *, is_sealed: bool
) -> None:
    with opened(place, tmp_path) as vid:
        if is_sealed:
            vid.keys.gallery.init()
        before = vid.audit.head()
        changed(vid)
        rows = [row for row in vid.audit.list() if row.number > before.number]
        assert [row.kind for row in rows] == KINDS[is_sealed:]
        assert [row.speaker_id for row in rows][is_sealed - 1 :]
        facts = {row.kind: row.facts for row in rows}
        assert facts["enroll"]["speaker"] == "Zebedee"
        assert (facts["rename"]["speaker"], facts["rename"]["other"]) == ("Zacharias", "Zebedee")
        assert "speaker" not in facts["remove"]
        assert all(row.facts["by"] for row in rows if row.facts is not None)
        of_one = [row.kind for row in vid.audit.list(speaker="zacharias")]
        assert of_one == ["enroll", "edit", "rename"]
        report = vid.audit.verify(before.hash)
        assert (report.ok, report.rows, report.erased) == (True, 8 + is_sealed, 1)
        with vid._session.store.read() as reader:
            stored = reader.connection.exec_driver_sql("SELECT content FROM audit_events")
            content = b"".join(bytes(row) for row in stored.scalars() if row is not None)
    assert b"Xanthippe" not in content
    assert (b"Zacharias" in content) is not is_sealed
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Xanthippe" not in files


def test_the_chain_stays_the_same_when_the_protection_of_the_gallery_changes(
    place: Path | DatabaseUrl, tmp_path: Path
) -> None:
    with opened(place, tmp_path) as vid:
        vid.speakers.add("alice")
        key = vid.keys.gallery
        steps = [lambda: key.init("rotated"), key.init, key.renew, key.rotate, key.off, key.init]
        for step in steps:
            head = vid.audit.head()
            step()
            assert vid.audit.verify(head.hash).problems == ()
        assert [row.facts["speaker"] for row in vid.audit.list(kind="enroll")] == ["alice"]


def test_the_settings_that_decide_are_recorded_when_they_are_others(tmp_path: Path) -> None:
    place = tmp_path / "data" / "voiceid.sqlite3"
    for number, margin in enumerate([0.1, 0.1, 0.2]):
        with opened(place, tmp_path, **{"decision.margin": margin}) as vid:
            vid.speakers.add(f"s{number}")
            rows = list(vid.audit.list(kind="configuration"))
    assert [row.facts["settings"]["decision.margin"] for row in rows] == [0.1, 0.2]
    with opened(place, tmp_path, **{"audit.record": "off"}) as vid:
        vid.speakers.add("unseen")
        vid.speakers.remove("s0")  # who is erased leaves the chain, whatever is recorded
        assert vid.audit.verify().erased == 1
        assert [row.kind for row in vid.audit.list()][-2:] == ["configuration", "erasure"]


def test_that_the_record_is_turned_off_and_on_is_recorded_by_who_opens_the_gallery(
    place: Path | DatabaseUrl, tmp_path: Path
) -> None:
    with opened(place, tmp_path, **{"audit.record": "off"}) as vid:
        vid.speakers.add("unseen")
    for record in ("off", "all", "all", "changes", "off"):
        with opened(place, tmp_path, **{"audit.record": record}) as vid:
            assert vid.speakers.count() == 1  # nothing is changed
    with opened(place, tmp_path) as vid:
        rows = list(vid.audit.list())
        assert vid.audit.verify().ok
    said = [row.facts["settings"]["audit.record"] for row in rows]
    assert said == ["off", "all", "changes", "off", "changes"]


def test_where_the_new_setting_cannot_be_recorded_the_gallery_is_read_and_it_is_said(
    tmp_path: Path,
) -> None:
    place = tmp_path / "data" / "voiceid.sqlite3"
    with opened(place, tmp_path) as vid:
        vid.speakers.add("alice")
        vid.keys.gallery.init()
    (tmp_path / "gallery.key").rename(tmp_path / "lost.key")
    said: list[str] = []
    with opened(place, tmp_path, **{"audit.record": "off"}) as vid:
        vid._session.notify = said.append
        assert not vid.keys.gallery.status().has_key
    assert "audit.record: off is not in the audit chain" in said[0]


def test_models_that_come_and_go_have_a_row(
    home: Path, models_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    for path in models_folder.glob("campplus.*"):
        (tmp_path / "models" / path.name).symlink_to(path)
    with VoiceID.open(overrides={"models": str(tmp_path / "models")}) as vid:
        vid.models.remove("campplus")
        [row] = vid.audit.list(kind="remove_model")
        assert row.facts["model"] == "campplus"
        (home / "data" / "voiceid.sqlite3").write_bytes(b"nothing to be read")
    said: list[str] = []
    with VoiceID.open(overrides={"models": str(tmp_path / "models")}) as vid:
        vid._session.notify = said.append
        vid._session.models._changed("campplus", ChangeKind.INSTALL_MODEL)
    assert "install_model campplus is not in the audit chain" in said[0]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_was_decided_is_forgotten_by_age_and_the_chain_holds(
    place: Path | DatabaseUrl, tmp_path: Path, *, is_sealed: bool
) -> None:
    settings = {"audit.record": "all", "privacy.retention": {"decisions_days": 30}}
    with opened(place, tmp_path, **settings) as vid:
        vid.speakers.add("Xanthippe")
        if is_sealed:
            vid.keys.gallery.init()
        old = (datetime.now(UTC) - timedelta(days=31)).isoformat()
        for now in (old, "2999-01-01T00:00:00+00:00", old, None):  # a clock was wrong for a while
            for speaker in ("Xanthippe", None):
                facts = {"speaker": speaker, "caller": "Front Door 4711"}
                with vid._session.store.write() as writer:
                    writer.effects.now = now or writer.effects.now
                    writer.audit.append("decision", facts)
        head = vid.audit.head()
        assert vid.privacy.run(dry_run=True).decisions == 0
        assert vid.privacy.run().decisions == 6
        assert vid.privacy.run().decisions == 0
        report = vid.audit.verify(head.hash)
        assert (report.problems, report.erased) == ((), 6)
        kept = [row.content is not None for row in vid.audit.list(kind="decision")]
        assert kept == [False] * 6 + [True] * 2
        vid.audit.export(tmp_path / "audit.jsonl")
        assert vid.audit.verify_file(tmp_path / "audit.jsonl", head.hash).ok
        vid.speakers.remove("Xanthippe")
        assert vid.audit.verify(head.hash).ok
        with vid._session.store.write() as writer:  # by another hand
            newest = audit_events.c.kind == "decision"
            writer.connection.execute(update(audit_events).where(newest).values(content=None))
        assert "was removed, and it is of no speaker" in vid.audit.verify().problems[0]


# Who writes to the database: how each attempt is found


def _row(db: sqlite3.Connection, number: int) -> list[object]:
    columns = "number, created_at, kind, speaker_id, commitment, previous"
    query = f"SELECT {columns} FROM audit_events WHERE number = ?"  # noqa: S608
    return list(db.execute(query, (number,)).fetchone())


def _hashed(bound: list[object]) -> str:
    return hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).hexdigest()


def _forge(db: sqlite3.Connection) -> None:
    """Change what row 4 says, with hashes that fit."""
    content = b"0123456789abcdef" + b'{"by":"somebody else"}'
    bound = _row(db, 4)
    bound[4] = hashlib.sha256(content).hexdigest()
    values = (content, bound[4], _hashed(bound))
    db.execute(
        "UPDATE audit_events SET content = ?, commitment = ?, hash = ? WHERE number = 4", values
    )


def _append(db: sqlite3.Connection) -> None:
    """Put a row at the end, as well as it can be done without the key."""
    [last] = db.execute("SELECT hash FROM audit_events WHERE number = 8").fetchone()
    content = b"0123456789abcdef" + b'{"by":"somebody else"}'
    bound = [9, "2026-01-01", "edit", 2, hashlib.sha256(content).hexdigest(), last]
    values = (*bound[:4], content, *bound[4:], _hashed(bound), "")
    db.execute("INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    db.execute("UPDATE audit_head SET number = 9, hash = ?", (_hashed(bound),))


def _swap(db: sqlite3.Connection) -> None:
    for was, becomes in [(3, 99), (4, 3), (99, 4)]:
        db.execute("UPDATE audit_events SET number = ? WHERE number = ?", (becomes, was))


def _swap_contents(db: sqlite3.Connection) -> None:
    query = "SELECT content FROM audit_events WHERE number IN (3, 4) ORDER BY number DESC"
    contents = db.execute(query).fetchall()
    for number, (content,) in enumerate(contents, 3):
        db.execute("UPDATE audit_events SET content = ? WHERE number = ?", (content, number))


def _put_in(db: sqlite3.Connection) -> None:
    columns = "created_at, kind, speaker_id, content, commitment, previous, hash, mac"
    query = f"INSERT INTO audit_events SELECT 9, {columns} FROM audit_events WHERE number = 4"  # noqa: S608
    db.execute(query)


def _cut(db: sqlite3.Connection) -> None:
    """Cut the end off, and reset the counter."""
    db.execute("DELETE FROM audit_events WHERE number > 6")
    [last] = db.execute("SELECT hash FROM audit_events WHERE number = 6").fetchone()
    db.execute("UPDATE audit_head SET number = 6, hash = ?", (last,))


ATTEMPTS = {
    "change a content": (
        "UPDATE audit_events SET content = x'00112233' WHERE number = 4",
        "the content of row 4 was changed",
    ),
    "change a time": (
        "UPDATE audit_events SET created_at = '2020-01-01' WHERE number = 4",
        "row 4 was changed",
    ),
    "change whom it is about": (
        "UPDATE audit_events SET speaker_id = 9 WHERE number = 4",
        "row 4 was changed",
    ),
    **{
        f"put {value} into {column}": (
            f"UPDATE audit_events SET {column} = {value} WHERE number = 4",  # noqa: S608 - constants
            "the content of row 4" if column in {"content", "commitment"} else "row 4 was changed",
        )
        for value, columns in (
            ("x'00ff'", ("created_at", "kind", "commitment", "previous", "hash")),
            ("'text'", ("speaker_id", "content")),
            ("7", ("content",)),
        )
        for column in columns
    },
    "put bytes into the counter": ("UPDATE audit_head SET hash = x'00'", "the counter"),
    "change a content and its hashes": (_forge, "row 5 does not follow row 4"),
    "swap two contents": (_swap_contents, "the content of row 4 was changed"),
    "swap two rows": (_swap, "row 3 was changed"),
    "remove a content": (
        "UPDATE audit_events SET content = NULL WHERE number = 4",
        "the content of row 4 was removed, and speaker 2 was not erased",
    ),
    "remove a row": ("DELETE FROM audit_events WHERE number = 4", "row 4 is missing"),
    "remove the first row": ("DELETE FROM audit_events WHERE number = 1", "row 1 is missing"),
    "put a row in": (_put_in, "row 9 does not follow row 8"),
    "cut the end off": ("DELETE FROM audit_events WHERE number > 6", "rows 7 to 8 are missing at"),
    "reset the counter": ("UPDATE audit_head SET number = 6", "the counter is 6, and the last row"),
    "remove the counter": ("DELETE FROM audit_head", "the counter is 0, and the last row is 8"),
    "cut the end off and reset the counter": (_cut, "no row has the hash"),
    "put a row at the end": (_append, None),
}


def attempted(vid: VoiceID, data: Path, name: str) -> str:
    """Do what somebody may attempt; return where the chain ended before."""
    changed(vid)
    head = vid.audit.head().hash
    assert vid.audit.verify(head).rows >= 8
    vid.close()
    how = ATTEMPTS[name][0]
    with closing(sqlite3.connect(data / "voiceid.sqlite3")) as db, db:
        if callable(how):
            how(db)
        else:
            db.execute(how)
    return head


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_is_changed_in_the_chain_is_found_and_named(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    with opened(data / "voiceid.sqlite3", tmp_path) as vid:
        head = attempted(vid, data, name)
        said = "\n".join(vid.audit.verify(head).problems)
        if ATTEMPTS[name][1] is None:
            assert said == ""  # who may write may append: without a key nothing tells who did
            return
        assert ATTEMPTS[name][1] in said
        with opened(data / "voiceid.sqlite3", tmp_path) as other:
            other.speakers.add("later")  # the next row covers nothing up
            assert not other.audit.verify(head).ok


@pytest.mark.parametrize("name", ["change a content and its hashes", *list(ATTEMPTS)[-2:]])
def test_with_a_key_the_head_need_not_be_kept_elsewhere(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    with opened(data / "voiceid.sqlite3", tmp_path) as vid:
        vid.keys.gallery.init("rotated")
        vid.keys.create("another", ["verify"])
    with closing(sqlite3.connect(data / "voiceid.sqlite3")) as db, db:
        db.execute("DELETE FROM audit_events")  # so that the rows have the numbers of above
        db.execute("DELETE FROM audit_head")
    with opened(data / "voiceid.sqlite3", tmp_path) as vid:
        attempted(vid, data, name)
        assert "with the key of the gallery" in "\n".join(vid.audit.verify().problems)
    with opened(data / "voiceid.sqlite3", tmp_path) as vid:
        vid.speakers.add("later")
        assert not vid.audit.verify().ok


def test_an_exported_chain_is_verified_without_the_database(tmp_path: Path) -> None:
    with opened(tmp_path / "data" / "voiceid.sqlite3", tmp_path) as vid:
        vid.keys.gallery.init()
        changed(vid)
        head = vid.audit.head().hash
        file = tmp_path / "audit.jsonl"
        assert vid.audit.export(file) == 10
        assert (file.stat().st_mode & 0o777) == 0o600
        report = vid.audit.verify_file(file, head)
        assert (report.problems, report.rows, report.erased) == ((), 10, 1)
        assert report.hash == vid.audit.head().hash
        with pytest.raises(FileNotWritten, match="exists already"):
            vid.audit.export(file)
        lines = file.read_bytes().splitlines(keepends=True)
        assert b"Zacharias" in lines[6]
        for damaged, said in [
            ([*lines[:6], lines[6].replace(b"Zacharias", b"Zeno"), *lines[7:]], "content of row 6"),
            ([*lines[:6], *lines[7:]], "row 6 is missing"),
            ([*lines[:6], lines[7], lines[6], *lines[8:]], "row 6 stands after row 7"),
            (lines[:-2], "rows 9 to 10 are missing at the end"),
        ]:
            file.write_bytes(b"".join(damaged))
            assert said in "\n".join(vid.audit.verify_file(file).problems)
        forged = [
            lines[1].replace(b"{", b'{"content": "forged", ', 1),
            lines[1].replace(b"{", b'{"a": 1, ', 1),
        ]
        wrong_rows = [b"{}\n", b"x" * 2_000_000, *forged]
        for wrong in (b"", b"{}", b"[" * 5000, *(lines[0] + row for row in wrong_rows)):
            file.write_bytes(wrong)
            with pytest.raises(AuditBroken, match="not an exported audit chain"):
                vid.audit.verify_file(file)


def test_a_chain_that_is_empty_has_a_head(tmp_path: Path) -> None:
    with opened(tmp_path / "data" / "voiceid.sqlite3", tmp_path) as vid:
        assert (vid.audit.head().hash, list(vid.audit.list())) == (NO_HASH, [])
        assert vid.audit.verify(NO_HASH).ok
        vid.speakers.add("alice")
        assert vid.audit.verify(NO_HASH).ok


# Decisions, and what leaves the gallery


def test_decisions_are_recorded_where_the_settings_say(home: Path, ami) -> None:
    clip, stranger = ami.samples("alice-4"), ami.samples("stranger")
    with VoiceID.open() as vid:
        before = vid.audit.verify().rows
        vid.verify("alice", (clip, 16_000))
        assert vid.audit.verify().rows == before
    with VoiceID.open(overrides={"audit.record": "all"}) as vid:
        vid.verify("alice", (clip, 16_000), caller="front door")
        vid.identify((stranger, 16_000))
        accepted, rejected = (row for row in vid.audit.list(kind="decision"))
        assert accepted.speaker_id == vid.speakers.get("alice").id
        facts = accepted.facts
        assert (facts["speaker"], facts["outcome"], facts["reason"]) == (
            *("alice", "accepted", "match"),
        )
        assert (facts["caller"], facts["score"] > facts["threshold"]) == ("front door", True)
        assert "speaker" not in rejected.facts
        assert rejected.facts["reason"] == "unknown"
        with closing(sqlite3.connect(home / "data" / "voiceid.sqlite3")) as db, db:
            db.execute("DROP TABLE audit_head")
        with pytest.raises(StoreError):  # what cannot be recorded is not decided
            vid.verify("alice", (clip, 16_000))


def test_names_of_others_are_in_no_event_that_they_could_not_leave(home: Path, ami) -> None:
    with VoiceID.open() as vid:
        first = vid.samples.list("alice")[0].id
        vid.speakers.split("alice", "Xanthippe", [first], force=True)
        vid.speakers.merge("bob", "Xanthippe", force=True)
        vid.attempts.unlock("Xanthippe")
        vid.speakers.export(home / "bob.jsonl", ["bob"])
        vid.database.backup(home / "backup.sqlite3")
        vid.speakers.add("later")
        vid.database.restore(home / "backup.sqlite3")
        kinds = [row.kind for row in vid.audit.list()]  # the backup was whole before the event
        assert kinds[-6:] == ["enroll", "split", "merge", "unlock", "export", "restore"]
        merge = next(row.facts for row in vid.audit.list(kind="merge"))
        assert merge["other_id"] > 2
        assert vid.audit.verify().problems == ()
        with vid._session.store.read() as reader:
            stored = reader.connection.exec_driver_sql("SELECT content FROM audit_events")
            content = b"".join(row for row in stored.scalars() if row is not None)
    assert b"Xanthippe" not in content


# Killed at any moment, and several at once


def tally(vid: VoiceID) -> Counter[str]:
    """Compare the rows of the chain with who is there; return how many there are of each kind."""
    report = vid.audit.verify()
    assert report.problems == ()
    rows = list(vid.audit.list())
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    kinds = {kind: Counter(r.speaker_id for r in rows if r.kind == kind) for kind in
             ("enroll", "edit", "remove")}  # fmt: skip
    there = {one.id: int(one.metadata.get("edits", 0)) for one in vid.speakers.list()}
    assert there.keys() == kinds["enroll"].keys() - kinds["remove"].keys()
    assert {id_: kinds["edit"][id_] for id_ in there} == there
    assert max(kinds["enroll"].values(), default=1) == 1
    return Counter(row.kind for row in rows)


def test_a_process_that_is_killed_leaves_no_change_without_its_row(
    place: Path | DatabaseUrl, tmp_path: Path
) -> None:
    rng, reported = np.random.default_rng(5), Counter[str]()
    url = place.text if isinstance(place, DatabaseUrl) else place
    for seed in range(KILLS):
        with started(("change", url, seed, 1000, tmp_path)) as (worker,):
            first = worker.stdout.readline() if seed else ""  # else while the gallery is made
            time.sleep(float(rng.uniform(0, 0.3)))
            worker.kill()
            said, errors = worker.communicate(timeout=30)
        assert errors == ""
        reported.update((first + said).split())
        with opened(place, tmp_path) as vid:
            kinds = tally(vid)
        for said_kind, kind in [("add", "enroll"), ("edit", "edit"), ("remove", "remove")]:
            assert 0 <= kinds[kind] - reported[said_kind] <= seed + 1
    assert sum(reported.values()) > 0


def test_processes_that_change_at_once_make_one_chain(
    place: Path | DatabaseUrl, tmp_path: Path
) -> None:
    url = place.text if isinstance(place, DatabaseUrl) else place
    commands = [("change", url, seed, 6, tmp_path) for seed in range(3)]
    with started(*commands) as workers:
        for worker in workers:
            _, errors = worker.communicate(timeout=60)
            assert (worker.wait(), errors) == (0, "")
    with opened(place, tmp_path) as vid:
        kinds = tally(vid)
    assert (kinds["enroll"], kinds["edit"], kinds["remove"]) == (18, 36, 9)


def test_a_copy_of_the_gallery_has_the_same_chain(
    place: Path | DatabaseUrl, tmp_path: Path, new_database: Callable[[str], Path]
) -> None:
    with opened(place, tmp_path) as vid:
        changed(vid)
        head = vid.audit.head()
        target = tmp_path / "copy" / "voiceid.sqlite3"
        vid.database.copy(vid.database.location, target)
    with opened(target, tmp_path) as copy:
        assert copy.audit.verify(head.hash).problems == ()
    shutil.rmtree(target.parent)
