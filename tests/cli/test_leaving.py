"""What leaves a gallery: sealed as the gallery is, signed, and checked where it comes in."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cli_running import Runner
from terminal import asked_on_terminal

WORDS = "correct horse battery"
THERE = ["--data", "elsewhere"]


@pytest.fixture
def clips(enrolled_data: Path) -> dict[str, Path]:
    return {path.stem: path for path in enrolled_data.parent.glob("*.wav")}


def test_an_export_of_a_sealed_gallery_is_sealed_or_said_to_be_plain(
    home: Path, clips: dict[str, Path], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("keys", "gallery", "init").code == 0
    refused = run("speakers", "export", "staff")
    assert (refused.code, (home / "staff").exists()) == (49, False)
    assert "(--passphrase prompt), or use --plain" in refused.err
    for place, code in (("env:NONE", 68), (WORDS, 2), ("prompt", 2), ("env:SHORT", 49)):
        monkeypatch.setenv("SHORT", "short")
        assert run("speakers", "export", "staff", "--passphrase", place).code == code, place
    (home / "words").write_text(f"{WORDS}\n")
    (home / "words").chmod(0o644)
    ran = run("speakers", "export", "staff", "--passphrase", "file:words")
    assert (ran.code, "other users may read the passphrase" in ran.err) == (68, True)
    (home / "words").chmod(0o600)
    assert run("speakers", "export", "staff", "--passphrase", "file:words").code == 0
    assert b"alice" not in (home / "staff").read_bytes()
    assert run("speakers", "export", "plain.jsonl", "--plain").code == 0
    assert b"alice" in (home / "plain.jsonl").read_bytes()

    key = run("privacy", "key").out.strip()
    command = [*THERE, "speakers", "import", "staff"]
    assert run(*command).code == 55
    monkeypatch.setenv("OTHER", WORDS + "!")
    wrong = run(*command, "--passphrase", "env:OTHER", "--signed-by", key)
    assert (wrong.code, "sealed with another passphrase" in wrong.err) == (55, True)
    foreign = run(*command, "--passphrase", "file:words")
    assert (foreign.code, "signed by another key" in foreign.err) == (76, True)
    assert run(*THERE, "speakers", "list").out == ""
    assert run(*command, "--passphrase", "file:words", "--signed-by", key).code == 0
    assert run(*THERE, "identify", clips["alice-3"]).out.startswith("accepted  alice")
    assert run("speakers", "import", "staff", "--passphrase", "file:words", "--append").code == 0
    assert run("speakers", "import", "plain.jsonl", "--append").code == 0


def test_a_passphrase_is_asked_for_on_a_terminal_twice_where_it_is_new(
    home: Path, run: Runner
) -> None:
    said = WORDS.encode() + b"\n"
    once, again = (b"Passphrase: ", said), (b"Repeat for confirmation: ", said)
    export = ["speakers", "export", "staff", "--passphrase", "prompt"]
    code, shown = asked_on_terminal(*export, answers=[once, again])
    assert (code, WORDS.encode() in shown) == (0, False), shown
    code, shown = asked_on_terminal("speakers", "import", "staff", "--append", answers=[once])
    assert (code, b"0 new speakers" in shown) == (0, True), shown


def changed(file: Path, name: str, statement: str) -> Path:
    """Return a copy of a backup that somebody changed."""
    forged = shutil.copy(file, file.with_name(name))
    with closing(sqlite3.connect(forged)) as connection, connection:
        connection.execute(statement)
    return forged


BOB = "UPDATE speakers SET name = 'mallory', name_key = 'mallory' WHERE name = 'bob'"


def test_a_backup_is_put_back_of_this_gallery_alone_and_as_it_was_signed(
    home: Path, run: Runner
) -> None:
    good = home / "good.sqlite3"
    assert run("database", "backup", good).code == 0
    shutil.copytree(home / "data", home / "elsewhere")
    (home / "elsewhere" / "receipts.key").unlink()
    foreign = home / "foreign.sqlite3"
    assert run(*THERE, "database", "backup", foreign).code == 0
    with_log = shutil.copy(good, home / "with-log.sqlite3")
    for what, file, why in (
        ("a changed row", changed(good, "forged", BOB), "was changed after it was signed"),
        ("no signature", changed(good, "bare", "DROP TABLE backup_signature"), "is not signed"),
        ("another gallery", foreign, "is signed by another key"),
    ):
        refused = run("database", "restore", file, "--yes")
        assert (refused.code, why in refused.err) == (76, True), (what, refused.err)
        assert "hint: " in refused.err
    with closing(sqlite3.connect(with_log)) as connection:
        connection.execute("PRAGMA journal_mode=WAL").close()
        connection.execute(BOB)
        connection.commit()
        for end in ("", "-wal"):  # a log that lies beside a signed backup is read with it
            shutil.copy(f"{with_log}{end}", f"{home / 'log.sqlite3'}{end}")
    assert run("database", "restore", "log.sqlite3", "--yes").code == 76
    names = [one["name"] for one in run("speakers", "list", "--json").json_lines]
    assert names == ["alice", "bob"]
    assert run("database", "restore", good, "--yes").code == 0
    assert run("database", "restore", foreign, "--signed-by", "anybody", "--yes").code == 0
    key = run("privacy", "key").out.strip()
    there = ["--data", "new", "database", "restore", good, "--yes"]
    of_file = run(*there, "--signed-by", "gallery.pub")
    assert (of_file.code, "gallery.pub is not a public key" in of_file.err) == (76, True)
    assert (run(*there).code, run(*there, "--signed-by", key).code) == (76, 0)
    shutil.copy(good, home / "new" / "voiceid.sqlite3")  # as some people put one back
    assert run("--data", "new", "speakers", "list", "--json").json_lines[1]["name"] == "bob"
    assert run("--data", "new", "database", "backup", "again.sqlite3").code == 0
    assert run("--data", "new", "database", "restore", "again.sqlite3", "--yes").code == 0


def test_a_backup_that_is_protected_otherwise_is_not_put_back_unasked(
    home: Path, clips: dict[str, Path], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = ["database", "restore"]
    assert run("enroll", "alice", clips["alice-3"], "--keep-audio").code == 0
    assert run("database", "backup", "plain.sqlite3").code == 0
    assert run("keys", "gallery", "init").code == 0
    assert run("database", "backup", "sealed.sqlite3").code == 0
    kept = sorted((home / "data" / "audio").iterdir())

    def require_refused(file: str) -> None:
        refused = run(*restore, file, "--yes")
        assert (refused.code, "--change-protection" in refused.err) == (49, True), refused.err
        assert sorted((home / "data" / "audio").iterdir()) == kept

    require_refused("plain.sqlite3")
    assert run(*restore, "sealed.sqlite3", "--yes").code == 0
    for file in (home / "data").glob("voiceid.sqlite3*"):  # the database is lost
        file.unlink()
    require_refused("plain.sqlite3")
    (home / "data" / "receipts.key").unlink()
    assert run(*restore, "sealed.sqlite3", "--yes").code == 0
    assert run("identify", clips["alice-4"]).out.startswith("accepted  alice")
    assert sorted((home / "data" / "audio").iterdir()) == kept
    monkeypatch.setenv("VOICEID_PRIVACY__KEY", f"file:{home / 'gallery.key'}")
    assert run(*restore, "plain.sqlite3", "--signed-by", "anybody", "--yes").code == 50
    forced = [*restore, "plain.sqlite3", "--change-protection", "--signed-by", "anybody", "--yes"]
    assert run(*forced).code == 0
    assert "init` protects it" in run("speakers", "list").err
    monkeypatch.delenv("VOICEID_PRIVACY__KEY")
    assert run("keys", "gallery", "status", "--json").json["kind"] == "none"
    kept = []
    require_refused("sealed.sqlite3")
    assert run("keys", "gallery", "init").code == 0
    kept = []
    require_refused("sealed.sqlite3")  # of the same key, and another gallery


@pytest.mark.parametrize("command", [("privacy", "erase"), ("speakers", "withdraw")])
def test_no_speaker_is_erased_where_the_receipt_cannot_be_written(
    home: Path, run: Runner, command: tuple[str, str]
) -> None:
    (home / "config.yaml").write_text("privacy:\n  erase_withdrawn_after_days: 0\n")
    also = ["--yes"] if "erase" in command else []
    refused = run(*command, "alice", "--receipt", "none/receipt.json", *also)
    assert (refused.code, "none is not a folder" in refused.err) == (2, True)
    assert "alice" in run("speakers", "list").out
