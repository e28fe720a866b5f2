"""A damaged database: `database check` finds it, `database restore` mends it."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from cli_running import Ran, Runner

from voiceid import EmbeddedClip, VoiceID
from voiceid.domain import Decision
from voiceid.errors import VoiceIDError

PAGE = 8192
COMMANDS = [
    ["speakers", "list"],
    ["samples", "list", "alice"],
    ["speakers", "inspect", "alice"],
    ["speakers", "rename", "bob", "eve"],
    ["speakers", "remove", "bob", "--yes"],
    ["speakers", "export", "copy.jsonl"],
    ["index", "rebuild"],
    ["database", "status"],
    ["database", "backup", "copy.sqlite3"],
    ["doctor"],
]


@pytest.fixture
def database(home: Path, run: Runner) -> Path:
    assert run("database", "backup", "good.sqlite3").code == 0
    path = home / "data" / "voiceid.sqlite3"
    shutil.copy(path, home / "sound")
    return path


def put(database: Path, content: bytes) -> None:
    key = database.with_name("receipts.key").read_bytes()
    shutil.rmtree(database.parent)
    database.parent.mkdir()
    database.write_bytes(content)
    database.with_name("receipts.key").touch(mode=0o600)
    database.with_name("receipts.key").write_bytes(key)


def sensible(ran: Ran) -> bool:
    """No fault of the program: done, or an error that says what to do; whether it was done."""
    assert "Traceback" not in ran.err, ran
    assert "internal error" not in ran.err, ran
    assert ran.code == 0 or (ran.code > 20 and "hint: " in ran.err), ran
    return ran.code == 0


def asked(home: Path, vectors: dict[str, np.ndarray]) -> dict[str, Decision]:
    """Ask who each of some voices is; no answer where an error stops it."""
    answers = {}
    with VoiceID.open(home / "data") as vid:
        for name, vector in vectors.items():
            try:
                answers[name] = vid.identify(EmbeddedClip(vector, vid.models.space, 6.0))
            except VoiceIDError as error:
                assert error.hint, error  # noqa: PT017
    return answers


@pytest.fixture
def voices(database: Path, home: Path) -> dict[str, np.ndarray]:
    with VoiceID.open(home / "data") as vid:
        found = {n: vid.samples.list(n)[0].vector for n in ("alice", "bob")}
    stranger = np.random.default_rng(1).standard_normal(192).astype(np.float32)
    return {**found, "stranger": stranger}


def pages(content: bytes) -> dict[str, bytes]:
    """Lose pages here and there, to zeros and to noise, and end the file at many lengths."""
    rng, made = np.random.default_rng(2), {}
    starts = range(0, len(content), PAGE)
    for at in [0, *list(starts)[1::3]]:
        made[f"page {at // PAGE} zero"] = content[:at] + bytes(PAGE) + content[at + PAGE :]
    for at in list(starts)[:: len(starts) // 4]:
        made[f"page {at // PAGE} noise"] = content[:at] + rng.bytes(PAGE) + content[at + PAGE :]
    for length in [100, 2000, *range(PAGE, len(content), len(content) // 4)]:
        made[f"{length} bytes"] = content[:length]
    return made


def test_lost_pages_are_found_and_restored_and_no_stranger_gets_in_by_them(
    database: Path, home: Path, run: Runner, voices: dict[str, np.ndarray]
) -> None:
    listed = run("speakers", "list", "--json").stdout
    right = asked(home, voices)
    assert [right[name].accepted for name in voices] == [True, True, False]
    for number, (what, content) in enumerate(pages((home / "sound").read_bytes()).items()):
        put(database, content)
        checked = run("database", "check")
        assert not sensible(checked), what
        assert "database restore" in checked.err, what
        sensible(run(*COMMANDS[number % len(COMMANDS)]))
        for file in ("copy.jsonl", "copy.sqlite3"):
            (home / file).unlink(missing_ok=True)
        put(database, content)
        for name, decision in asked(home, voices).items():
            assert decision.accepted in {False, right[name].accepted}, what
            assert not decision.accepted or decision.speaker.name == name, what
        assert run("database", "restore", "good.sqlite3", "--yes").code == 0, what
        assert run("speakers", "list", "--json").stdout == listed, what


def statement(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            query = "SELECT sql FROM sqlite_master WHERE name = 'samples_are_immutable'"
            trigger = connection.execute(query).fetchone()
            connection.execute("DROP TRIGGER IF EXISTS samples_are_immutable")
            connection.execute("PRAGMA ignore_check_constraints=ON")
            connection.execute(text)
            connection.execute(*trigger)

    return change


ROWS = {
    "bytes for a name of a clip": "UPDATE samples SET source_name = CAST('a' AS BLOB)",
    "bytes for a label": "UPDATE samples SET label = CAST('a' AS BLOB)",
    "bytes for a name": "UPDATE speakers SET name = CAST('alice' AS BLOB) WHERE name = 'alice'",
    "another name": "UPDATE speakers SET name = 'alhce' WHERE name = 'alice'",
    "a name that cannot be": "UPDATE speakers SET name = 'al' || char(7) WHERE name = 'alice'",
    "other totals": "UPDATE centroids SET net_speech_s = net_speech_s + 1",
    "another space": "UPDATE embedding_spaces SET dim = 191",
    "no space": "DELETE FROM embedding_spaces",
    "a space of bytes": "UPDATE samples SET space_id = CAST(space_id AS BLOB)",
    "a centroid without a speaker": "DELETE FROM speakers WHERE name = 'bob'",
    "swapped centroids": "UPDATE centroids SET speaker_id = 99 - speaker_id",
    "no quality": "UPDATE samples SET quality = '{}'",
    "an expiry that is none": "UPDATE speakers SET expires_at = 'soon'",
    "no samples": "DELETE FROM samples",
}


@pytest.mark.parametrize("damage", ROWS)
def test_rows_that_cannot_have_been_written_are_found_and_mislead_no_answer(
    damage: str, database: Path, home: Path, run: Runner, voices: dict[str, np.ndarray]
) -> None:
    statement(ROWS[damage])(database)
    damaged = database.read_bytes()
    assert not sensible(run("database", "check"))
    for command in COMMANDS:
        put(database, damaged)
        sensible(run(*command))
    put(database, damaged)
    for name, decision in asked(home, voices).items():
        assert name != "stranger" or not decision.accepted
    assert run("database", "restore", "good.sqlite3", "--yes").code == 0
    assert run("database", "check").code == 0


@pytest.mark.parametrize(
    "damage",
    [
        *("bytes for a name", "a name that cannot be", "an expiry that is none"),
        *("no quality", "no samples"),
    ],
)
def test_without_a_backup_speakers_who_cannot_be_read_are_erased(
    damage: str, database: Path, run: Runner
) -> None:
    of_alice = " WHERE speaker_id = (SELECT id FROM speakers WHERE name = 'alice')"
    by_name = {"an expiry that is none": " WHERE name = 'alice'"}
    where = {"no quality": of_alice, "no samples": of_alice, **by_name}.get(damage, "")
    statement(ROWS[damage] + where)(database)
    checked = run("database", "check")
    assert "voiceid speakers purge --damaged" in checked.err
    assert run("speakers", "purge").code == 2
    dry = run("speakers", "purge", "--damaged", "--dry-run")
    assert dry.out.startswith("damaged  speaker "), dry
    erased = run("speakers", "purge", "--damaged", "--yes")
    assert erased.out == dry.out.replace("damaged  ", "erased  ", 1)
    assert run("database", "check").out.startswith("ok  1 speaker")
    assert run("speakers", "purge", "--damaged", "--yes").err == "no speaker is damaged\n"


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("day", ["'soon'", "x'61ff'", "7"])
def test_a_last_use_that_is_no_day_stops_no_rule_and_is_found(
    day: str, sealed: bool, database: Path, run: Runner
) -> None:
    if sealed:
        assert run("keys", "gallery", "init").code == 0
    one = " WHERE id = (SELECT min(id) FROM speakers)"
    statement("UPDATE speakers SET last_used_on = " + day + one)(database)  # noqa: S608
    assert run("privacy", "run", "--dry-run").code == 0
    checked = run("database", "check")
    assert "is not a date" in checked.err
    assert "voiceid speakers purge --damaged" in checked.err
    assert run("speakers", "purge", "--damaged", "--yes").out.endswith("is not a date\n")
    assert run("database", "check").out.startswith("ok  1 speaker")


@pytest.mark.parametrize(
    ("text", "sealed"),
    [
        ("samples.label", False),  # sealed, it is in another column
        *itertools.product(["speakers.name", "memberships.group_name"], [False, True]),
    ],
)
def test_a_text_that_is_not_utf_8_stops_one_speaker_who_can_be_erased(
    text: str, sealed: bool, database: Path, home: Path, run: Runner, voices: dict[str, np.ndarray]
) -> None:
    assert run("speakers", "edit", "alice", "--group", "vault").code == 0
    if sealed:
        assert run("keys", "gallery", "init").code == 0
    (table, column), id_ = text.split("."), "id" if text == "speakers.name" else "speaker_id"
    changed = ("UPDATE", table, "SET", column, "= CAST(x'ff' AS TEXT) WHERE", id_)
    statement(" ".join([*changed, "= (SELECT min(id) FROM speakers)"]))(database)
    for command in [["database", "check"], ["speakers", "list"], ["speakers", "inspect", "alice"]]:
        ran = run(*command)
        assert sensible(ran) or "voiceid speakers purge --damaged" in ran.err
    answers = asked(home, voices)  # none, where a name or a seal is read to decide
    assert "stranger" not in answers or not answers["stranger"].accepted
    assert run("samples", "list", "bob").code == 0
    erased = run("speakers", "purge", "--damaged", "--yes")
    assert erased.out.startswith("erased  speaker "), erased
    assert run("database", "check").out.startswith("ok  1 speaker")


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    "damage", ["telephone = 'x'", "telephone = x'ff'", "net_speech_s = 9e999", "n_samples = 9e999"]
)
def test_totals_that_are_no_numbers_are_found_and_their_speaker_can_be_erased(
    damage: str,
    sealed: bool,
    database: Path,
    home: Path,
    run: Runner,
    voices: dict[str, np.ndarray],
) -> None:
    if sealed:
        assert run("keys", "gallery", "init").code == 0
    of_one = " WHERE speaker_id = (SELECT min(id) FROM speakers)"
    statement(f"UPDATE centroids SET {damage}{of_one}")(database)  # noqa: S608
    checked = run("database", "check")
    assert checked.code not in {0, 1}
    assert "voiceid speakers purge --damaged" in checked.err
    for command in (["doctor"], ["speakers", "list", "--json"], ["speakers", "inspect", "alice"]):
        sensible(run(*command))
    answers = asked(home, voices)
    assert "stranger" not in answers or not answers["stranger"].accepted
    assert run("speakers", "purge", "--damaged", "--yes").code == 0
    assert run("database", "check").out.startswith("ok  1 speaker")


@pytest.mark.parametrize(
    "damage", ["dim = 'x'", "dim = 9e999", "dim = -1", "facts = 'x'", "facts = '7'"]
)
def test_a_damaged_embedding_space_is_said(
    damage: str, database: Path, home: Path, run: Runner, voices: dict[str, np.ndarray]
) -> None:
    statement(f"UPDATE embedding_spaces SET {damage}")(database)  # noqa: S608
    for command in (["doctor"], ["database", "check"], ["speakers", "inspect", "alice"]):
        sensible(run(*command))
    answers = asked(home, voices)
    assert "stranger" not in answers or not answers["stranger"].accepted


def test_a_time_without_an_offset_is_damage(database: Path, home: Path, run: Runner) -> None:
    (home / "config.yaml").write_text("privacy: {retention: {unused_days: 20}}")
    for table in ("speakers", "samples"):
        statement(f"UPDATE {table} SET created_at = '2026-01-01T00:00:00'")(database)  # noqa: S608
        for command in (["privacy", "run", "--dry-run"], ["privacy", "report", "alice", "--json"]):
            sensible(run(*command))
        statement(f"UPDATE {table} SET created_at = '2026-01-01T00:00:00+00:00'")(database)  # noqa: S608


@pytest.mark.parametrize("day", ["2999-01-01", "9999-12-31"])
def test_a_last_use_that_is_to_come_counts_as_today_and_keeps_nobody_for_ever(
    day: str, database: Path, home: Path, run: Runner
) -> None:
    rules = {"unused_days": 20, "after_consent_end_days": 20}
    (home / "config.yaml").write_text(json.dumps({"privacy": {"retention": rules}}))
    consent = ("--consent", "v1", "--until", "9999-12-30")
    assert run("speakers", "edit", "bob", *consent).code == 0
    statement(f"UPDATE speakers SET last_used_on = '{day}'")(database)  # noqa: S608
    dry = run("privacy", "run", "--dry-run")
    assert dry.out.count("unused_days") == 2, dry
    assert run("privacy", "run", "--yes").code == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT max(last_used_on) FROM speakers").fetchone() < (day,)
