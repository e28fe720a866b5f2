"""The signature of a backup is of every row: none can be changed, taken out or put in."""

# ruff: noqa: S608 - tables and columns are those of the catalogue

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_voices import SPACE, random_unit, sample

from voiceid.domain import SpeakerDetails
from voiceid.errors import SignatureInvalid
from voiceid.protection import Key, SigningKey, Trusted
from voiceid.store import Store, maintenance
from voiceid.store.backup_signature import WHAT, taken

KEY = SigningKey(Key(b"o" * 32))
OURS = Trusted(frozenset({KEY.public}))
ANYTHING = st.one_of(
    *(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=9)),
    st.binary(max_size=9),
)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    folder: Path = tmp_path_factory.mktemp("signed")
    rng = np.random.default_rng(3)
    with closing(Store.open(folder / "voices.sqlite3")) as store:
        for name in ("alice", "bob"):
            with store.write() as writer:
                speaker = writer.speakers.add(name)
                writer.samples.add(speaker.id, SPACE, [sample(random_unit(rng))])
                details = SpeakerDetails(groups=("lobby",), metadata={"badge": "4711"})
                writer.speakers.edit(speaker.id, details)
                writer.audit.append("enroll", {"speaker": name})
        maintenance.backup(store, folder / "backup", key=KEY)
    with closing(sqlite3.connect(folder / "backup")) as connection:
        yield connection


def copied(backup: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    backup.backup(copy)
    return copy


def require(copy: sqlite3.Connection) -> None:
    signed, sha256 = taken(copy)
    OURS.require(WHAT, sha256, signed, "backup")


def test_a_backup_as_it_was_made_is_taken_and_keeps_no_signature(
    backup: sqlite3.Connection,
) -> None:
    with closing(copied(backup)) as copy:
        require(copy)
        with pytest.raises(SignatureInvalid, match="not signed"):
            require(copy)


@settings(max_examples=200)
@given(data=st.data())
def test_no_row_can_be_changed_taken_out_or_put_in(
    backup: sqlite3.Connection, data: st.DataObject
) -> None:
    with closing(copied(backup)) as copy:
        copy.execute("PRAGMA ignore_check_constraints=ON")
        catalogue = copy.execute("SELECT type, name FROM sqlite_master").fetchall()
        for name in (name for kind, name in catalogue if kind == "trigger"):
            copy.execute(f"DROP TRIGGER {name}")
        tables = sorted(name for kind, name in catalogue if kind == "table")
        rows = [
            (table, rowid)
            for table in tables
            for (rowid,) in copy.execute(f"SELECT rowid FROM {table}")
        ]
        table, rowid = data.draw(st.sampled_from(rows))
        columns = [column for _, column, *_ in copy.execute(f"PRAGMA table_info({table})")]
        how = data.draw(st.sampled_from(["change", "change", "remove", "repeat"]))
        before = copy.execute(f"SELECT * FROM {table}").fetchall()
        try:
            if how == "remove":
                copy.execute(f"DELETE FROM {table} WHERE rowid = ?", [rowid])
            elif how == "repeat":
                copy.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE rowid = ?", [rowid])
            else:
                column = data.draw(st.sampled_from(columns))
                values = [data.draw(ANYTHING), rowid]
                copy.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", values)
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            return
        if repr(copy.execute(f"SELECT * FROM {table}").fetchall()) == repr(before):
            return
        if (table, how) == ("backup_signature", "repeat"):
            return  # the first counts
        with pytest.raises(SignatureInvalid):
            require(copy)
