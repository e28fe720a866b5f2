"""What is PostgreSQL's own: its schema, its locks, its errors, and what it never shows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from postgres_server import Databases, ask
from random_voices import DIM, SPACE, random_unit, sample
from sqlalchemy import select, update

from voiceid.decision.transforms import fit
from voiceid.domain import DatabaseUrl
from voiceid.errors import SchemaOutdated, SchemaTooNew, StoreBusy, StoreError
from voiceid.store import Store, StoreOptions, maintenance, upgrade
from voiceid.store.connections import make_engine, transaction
from voiceid.store.postgres import Begin
from voiceid.store.tables import centroids, metadata
from voiceid.store.upgrade import SCHEMA_HEAD, SchemaState

ROOT = Path(__file__).resolve().parents[3]


def enroll(url: DatabaseUrl, *names: str) -> None:
    rng = np.random.default_rng(len(names))
    store = Store.open(url)
    with store.write() as writer:
        for name in names:
            vectors = random_unit(rng, 2)
            writer.samples.add(writer.speakers.add(name).id, SPACE, [sample(v) for v in vectors])
    store.close()


@pytest.fixture
def empty(postgres: Databases) -> Iterator[DatabaseUrl]:
    made = postgres.empty()
    yield made
    postgres.drop(made)


def parts(url: DatabaseUrl) -> list[tuple[object, ...]]:
    """Every column, constraint and index that `tables` declares, but for names of primary keys."""
    return ask(
        url,
        "SELECT table_name, column_name, udt_name, is_nullable, collation_name,"
        " column_default FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name <> 'alembic_version' UNION ALL"
        " SELECT conrelid::regclass::text, CASE contype WHEN 'p' THEN 'pk' ELSE conname END,"
        " pg_get_constraintdef(oid), '', '', '' FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace"
        " AND conrelid::regclass::text <> 'alembic_version' UNION ALL"
        " SELECT tablename, '', regexp_replace(indexdef, '\\w+_pkey|pk_\\w+', 'pk'), '', '', ''"
        " FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename <> 'alembic_version'"
        " AND indexname NOT LIKE 'uq_%_in_use' AND indexname <> 'uq_model_changes_open'"
        " ORDER BY 1, 2, 3",
    )


def test_the_migrated_schema_has_everything_that_the_tables_declare(
    url: DatabaseUrl, empty: DatabaseUrl
) -> None:
    engine = make_engine(empty, 1000)
    with transaction(engine, empty, Begin.WRITE) as connection:
        connection.exec_driver_sql("CREATE EXTENSION vector")
        metadata.create_all(connection)
    engine.dispose()
    declared = parts(empty)
    assert len(declared) > 50
    assert parts(url) == declared


def downgrade(url: DatabaseUrl, revision: str) -> None:
    engine, scripts = make_engine(url, 1000), upgrade._scripts()
    with transaction(engine, url, Begin.WRITE) as connection:
        context = MigrationContext.configure(
            connection, opts={"fn": lambda now, _: scripts._downgrade_revs(revision, now)}
        )
        with Operations.context(context):
            context.run_migrations()
    engine.dispose()


def test_revisions_are_taken_back_and_made_again_and_no_speaker_is_lost(url: DatabaseUrl) -> None:
    enroll(url, "alice", "bob")
    # One of alice's samples is a telephone's, so that there is a centroid to derive again.
    ask(
        url,
        "ALTER TABLE samples DISABLE TRIGGER samples_are_immutable",
        "UPDATE samples SET quality = replace(quality, 'noisy', 'narrowband') WHERE id = 1",
        "ALTER TABLE samples ENABLE TRIGGER samples_are_immutable",
    )
    before, fed = ask(url, "SELECT id, vector FROM samples ORDER BY id"), schema_of(url)
    downgrade(url, "0001")
    assert (upgrade.status(url).current, upgrade.status(url).state) == ("0001", "outdated")
    with pytest.raises(SchemaOutdated, match="0001"):
        Store.open(url, StoreOptions(auto_upgrade=False))
    store = Store.open(url)
    with store.read() as reader:
        assert [speaker.name for speaker in reader.speakers.all()] == ["alice", "bob"]
        # Two enrolments; then 0009 that is taken back, 0003 and 0009 each make one again.
        assert reader.revision.number == 5, "the feed does not tell of the centroid made again"
    assert maintenance.check(store) == []
    store.close()
    assert ask(url, "SELECT id, vector FROM samples ORDER BY id") == before
    assert schema_of(url) == fed


def schema_of(url: DatabaseUrl) -> set[tuple[object, ...]]:
    return {row[:3] for row in parts(url)}


def test_a_newer_database_is_refused_untouched(url: DatabaseUrl) -> None:
    ask(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="9999"):
        Store.open(url)
    assert ask(url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_the_tables_of_another_program_are_not_touched(empty: DatabaseUrl) -> None:
    ask(empty, "CREATE TABLE alembic_version (version_num text)")
    with pytest.raises(StoreError, match="another program") as refused:
        Store.open(empty)
    assert "separate database" in refused.value.hint


def test_a_new_database_may_be_opened_by_many_at_once(empty: DatabaseUrl) -> None:
    assert upgrade.status(empty).state is SchemaState.MISSING
    barrier, failures = threading.Barrier(6), []

    def start() -> None:
        barrier.wait()
        try:
            Store.open(empty).close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert upgrade.status(empty).current == SCHEMA_HEAD


def test_a_writer_that_has_to_wait_too_long_gets_an_error_about_it(url: DatabaseUrl) -> None:
    first, second = Store.open(url), Store.open(url, StoreOptions(busy_timeout_ms=100))
    with first.write() as writer:
        writer.speakers.add("alice")
        started = time.monotonic()
        with pytest.raises(StoreBusy), second.write():
            pass
        assert time.monotonic() - started < 5
        with second.read() as reader:  # who only reads does not wait
            assert reader.speakers.all() == []
    with second.write() as writer:
        assert writer.speakers.get("alice")
    first.close()
    second.close()


def test_a_writer_sees_what_was_written_while_it_waited(url: DatabaseUrl) -> None:
    """Also where the server's own transactions see what was there when they began."""
    strict = f"{url.text}&options=-cdefault_transaction_isolation=serializable"
    store = Store.open(DatabaseUrl(strict))
    seen = list[str]()

    def write() -> None:
        with store.write() as writer:
            seen.extend(speaker.name for speaker in writer.speakers.all())

    second = threading.Thread(target=write)
    with store.write() as writer:
        writer.speakers.add("alice")
        second.start()
        while not ask(url, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            time.sleep(0.01)
    second.join()
    assert seen == ["alice"]
    store.close()


def test_the_feed_is_committed_in_the_order_of_its_numbers(url: DatabaseUrl) -> None:
    """A reader that saw a revision saw all before it: else an index would miss the late ones."""
    seen, stop = [], threading.Event()

    def watch() -> None:
        store = Store.open(url)
        while not stop.is_set():
            with store.read() as reader:
                seen.append((reader.revision.number, len(reader.feed.since(0))))
        store.close()

    def write(who: int) -> None:
        store, rng = Store.open(url), np.random.default_rng(who)
        for number in range(8):
            with store.write() as writer:
                speaker = writer.speakers.add(f"{who} {number}")
                writer.samples.add(speaker.id, SPACE, [sample(random_unit(rng))])
        store.close()

    watcher = threading.Thread(target=watch)
    writers = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in (watcher, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    watcher.join()
    # One change per centroid and none was rolled back, so a hole would be a missed change.
    assert all(number == changed for number, changed in seen)
    assert len(set(seen)) > 1


@pytest.mark.parametrize("table", ["calibrations", "adaptations"])
def test_one_row_of_a_space_is_in_use_and_no_more(url: DatabaseUrl, table: str) -> None:
    [(index,)] = ask(url, f"SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_{table}_in_use'")  # noqa: S608
    assert "CREATE UNIQUE INDEX" in index
    assert index.endswith("(space_id) WHERE (used_since IS NOT NULL)")


def test_0007_drops_the_codes_and_gives_an_older_program_empty_ones(url: DatabaseUrl) -> None:
    enroll(url, "alice", "bob")
    downgrade(url, "0005")
    ask(  # as revision 0005 codes a space, and a voice that comes after
        url,
        "INSERT INTO codings SELECT space_id, avg(vector), 0.05, 0, 9999, avg(vector)"
        " FROM centroids GROUP BY 1",
        "INSERT INTO codes SELECT c.id, space_id, speaker_id, voice_code(vector, mean, spread)"
        " FROM centroids AS c JOIN codings USING (space_id)",
        "UPDATE centroids SET vector = vector WHERE speaker_id = 2",
    )
    assert ask(url, "SELECT length(code) FROM codes") == [(3 * DIM,), (3 * DIM,)]
    store = Store.open(url)  # upgrades
    assert ask(url, "SELECT to_regclass('codes'), to_regclass('codings')") == [(None, None)]
    assert ask(url, "SELECT 1 FROM pg_proc WHERE proname ~ 'code_centroid|voice_code'") == []
    enroll(url, "carol")
    with store.read() as reader:
        table = reader.centroids.table(SPACE.id)
        assert reader.search.nearest(SPACE.id, table.vectors[1], 1).ids.tolist() == [table.ids[1]]
    assert maintenance.check(store) == []
    store.close()


def test_0009_weighs_all_samples_alike_and_can_be_taken_back(url: DatabaseUrl) -> None:
    rng = np.random.default_rng(9)
    fitted = fit(random_unit(rng, 60), np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    store = Store.open(url)
    with store.write() as writer:
        for name in ("alice", "bob"):
            new = [sample(vector) for vector in random_unit(rng, 3)]
            writer.samples.add(writer.speakers.add(name).id, SPACE, new)
        writer.adaptations.add(SPACE, fitted, {}, "site.csv")
    store.close()
    plain = vectors_of(url)
    ask(
        url,
        "ALTER TABLE samples DISABLE TRIGGER samples_are_immutable",
        "UPDATE samples SET quality = replace(quality, 'noisy', 'narrowband') WHERE id = 3",
        "ALTER TABLE samples ENABLE TRIGGER samples_are_immutable",
        "INSERT INTO calibrations (space_id, created_at, source, facts)"
        " SELECT id, '2026-01-01T00:00:00+00:00', 'site', '{}' FROM embedding_spaces",
    )
    downgrade(url, "0008")
    counts = "SELECT n_narrowband FROM centroids ORDER BY speaker_id, space_id"
    assert ask(url, counts) == [(1,), (1,), (0,), (0,)]
    assert ask(url, "SELECT * FROM calibrations") == [], "0008 cannot read one without bands"
    mixed = [place for place, vector in vectors_of(url).items() if differs(vector, plain[place])]
    assert [who for who, _ in mixed] == [1, 1], "alice's, of the model's and of the adapted space"
    store = Store.open(url)  # upgrades
    assert not any(differs(vector, plain[place]) for place, vector in vectors_of(url).items())
    assert ask(url, "SELECT DISTINCT telephone FROM centroids") == [(1.0,)]
    assert maintenance.check(store) == []
    store.close()


def vectors_of(url: DatabaseUrl) -> dict[tuple[object, object], np.ndarray]:
    rows = ask(url, "SELECT speaker_id, space_id, vector::text FROM centroids ORDER BY 1, 2")
    return {row[:2]: np.array(json.loads(str(row[2]))) for row in rows}


def differs(vector: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(vector - other).max() > 1e-5)


@pytest.mark.parametrize(
    ("change", "told", "to_do"),
    [
        (("postgres@", "locked:wrong-word@"), "password", "password"),
        (("postgres@", "nobody:wrong-word@"), "nobody", "user"),
        (("/voiceid_test", "/voiceid_tost"), "does not exist", "CREATE DATABASE"),
        (("?host=/", "?password=wrong-word&host=/nowhere/"), "nowhere", "server"),
    ],
)
def test_a_database_that_cannot_be_reached_is_reported_with_what_to_do_and_no_password(
    url: DatabaseUrl, change: tuple[str, str], told: str, to_do: str
) -> None:
    ask(url, "DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    wrong = DatabaseUrl(url.text.replace(*change))
    with pytest.raises(StoreError, match=told) as refused:
        Store.open(wrong)
    shown = f"{refused.value.message} {refused.value.hint} {wrong} {wrong!r}"
    assert to_do in refused.value.hint
    assert "wrong-word" not in shown


def test_a_user_who_may_not_make_the_extension_reads_who_may(
    empty: DatabaseUrl, url: DatabaseUrl
) -> None:
    ask(empty, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    guest = DatabaseUrl(empty.text.replace("postgres@", "guest@"))
    with pytest.raises(StoreError, match="permission denied") as refused:
        Store.open(guest)
    assert "CREATE EXTENSION" in refused.value.hint
    ask(empty, "CREATE EXTENSION vector", "GRANT CREATE ON SCHEMA public TO guest")
    enroll(guest, "alice")


def test_a_replica_is_read_and_a_write_to_it_names_the_primary(url: DatabaseUrl) -> None:
    """A standby refuses as a session does that is read-only."""
    enroll(url, "alice")
    standby = DatabaseUrl(f"{url.text}&options=-cdefault_transaction_read_only=on")
    store = Store.open(standby)
    with store.read() as reader:
        assert reader.speakers.get("alice")
    with pytest.raises(StoreError, match="read-only") as refused, store.write() as writer:
        writer.speakers.add("bob")
    assert "primary" in refused.value.hint
    store.close()


def test_a_read_cannot_write(url: DatabaseUrl) -> None:
    store = Store.open(url)
    with pytest.raises(StoreError, match="read-only"), store.read() as reader:
        reader.connection.exec_driver_sql("DELETE FROM speakers")
    store.close()


def test_a_transaction_costs_two_turns_to_the_server_beside_its_statements(
    url: DatabaseUrl, tmp_path: Path
) -> None:
    """One to begin it with its settings, one to commit it."""
    store = Store.open(url)
    for begin in (store.read, store.write):
        with begin() as either:
            driver = either.connection.connection.driver_connection
        with (tmp_path / "traced").open("w+b") as file:
            driver.pgconn.trace(file.fileno())
            with begin() as either:
                assert not either.keys.any()
            driver.pgconn.untrace()
            assert (tmp_path / "traced").read_bytes().count(b"ReadyForQuery") == 3
    store.close()


def test_a_connection_that_was_cut_as_it_lay_idle_is_made_again(url: DatabaseUrl) -> None:
    store = Store.open(url)
    for begin in (store.read, store.write):
        with store.read():
            pass
        ask(
            url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with begin() as either:
            assert not either.keys.any()
    store.close()


def test_it_is_not_backed_up_as_a_file(url: DatabaseUrl, tmp_path: Path) -> None:
    store = Store.open(url)
    with pytest.raises(StoreError, match="as a file") as refused:
        maintenance.backup(store, tmp_path / "copy.sqlite3")
    assert "database copy" in refused.value.hint
    assert list(tmp_path.iterdir()) == []
    store.close()


WITHOUT_DRIVER = """
import sys
sys.modules["psycopg"] = None
from voiceid.domain import DatabaseUrl
from voiceid.errors import ExtraMissing
from voiceid.store import Store
try:
    Store.open(DatabaseUrl("postgresql+psycopg://u:secret@localhost/v"))
except ExtraMissing as error:
    assert "voiceid[postgres]" in error.hint, error.hint
else:
    raise SystemExit("opened")
"""


def test_without_the_driver_the_error_says_what_to_install() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_DRIVER], check=True, cwd=ROOT)


def test_numbers_come_back_as_they_were_written_to_the_last_bit(url: DatabaseUrl) -> None:
    enroll(url, "alice")
    numbers = np.random.default_rng(3).standard_normal(DIM).astype("<f4")
    numbers[:5] = [1e-42, -0.0, 3.4e38, -1e-20, 1 / 3]
    store = Store.open(url)
    with store.write() as writer:
        writer.connection.execute(update(centroids).values(vector=numbers.tobytes()))
    with store.read() as reader:
        found = reader.connection.execute(select(centroids.c.vector)).scalar()
    assert found == numbers.tobytes()
    store.close()
