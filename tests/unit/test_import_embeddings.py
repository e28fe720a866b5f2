"""Files of embeddings that were made elsewhere: whole, or refused with the row that is wrong."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import DIM, OTHER_SPACE, SPACE, model_of, random_compensation, random_unit

from voiceid import exchange
from voiceid.decision import embeddings
from voiceid.domain import (
    Embedding,
    NewSample,
    QualityReport,
    Speaker,
    Utterance,
    moment,
    speaker_key,
)
from voiceid.errors import (
    ChangeRefused,
    ExtraMissing,
    GalleryFileInvalid,
    SpaceMismatch,
    SpeakerExists,
    VoiceIDError,
)
from voiceid.exchange import EmbeddingFacts, Exchanged
from voiceid.protection import Trusted
from voiceid.speech.speaker_model import SpeakerModel
from voiceid.store import Store, maintenance

MODEL = model_of(SPACE)
FACTS = EmbeddingFacts(space=SPACE.id, net_speech_s=12.0)
anything = settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "to.sqlite3")
    yield made
    made.close()


def vectors(n: int, seed: int = 1) -> np.ndarray:
    # Clipped: in few dimensions one component may outweigh all others, as in no embedding.
    return 3 * random_unit(np.random.default_rng(seed), n).clip(-0.4, 0.4)


def write(folder: Path, array: np.ndarray, names: list[str]) -> tuple[Path, Path]:
    np.save(folder / "v.npy", array)
    (folder / "n.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return folder / "v.npy", folder / "n.txt"


def read(
    store: Store,
    path: Path,
    ids: Path | None = None,
    facts: EmbeddingFacts = FACTS,
    *,
    append: bool = False,
    model: SpeakerModel = MODEL,
) -> Exchanged:
    with exchange.read_embeddings(model, path, ids, facts) as speakers, store.write() as writer:
        return speakers.add_to(writer, append=append, trust=True)


def enrolled(store: Store) -> dict[str, list[bytes]]:
    with store.read() as reader:
        return {
            one.name: [s.vector.tobytes() for s in reader.samples.of(one.id)]
            for one in reader.speakers.all()
        }


def test_ten_thousand_rows_are_what_enrolling_them_one_by_one_makes(
    store: Store, tmp_path: Path
) -> None:
    array, names = vectors(10_001), [f"Person {i:05}" for i in range(10_001)]
    done = read(store, *write(tmp_path, array, names))
    assert (done.speakers, done.samples) == (10_001, 10_001)
    quality = QualityReport(None, 12.0, None, None, None, None, None)
    with store.read() as reader, Store.open(tmp_path / "one.sqlite3").write() as writer:
        for i in range(0, 10_001, 500):
            new = embeddings.unit(array[i])
            clip = Utterance(f"v.npy row {i + 1}", f"{i:064x}", quality, Embedding(new, SPACE))
            there = writer.speakers.add(names[i])
            writer.samples.add(there.id, SPACE, [NewSample(clip)])
            here = reader.speakers.get(names[i])
            [mine], [theirs] = reader.samples.of(here.id), writer.samples.of(there.id)
            assert mine.vector.tobytes() == theirs.vector.tobytes()
            assert (mine.quality, mine.source_name) == (theirs.quality, theirs.source_name)
            ours = reader.centroids.of(here.id, SPACE.id)
            assert ours.tobytes() == writer.centroids.of(there.id, SPACE.id).tobytes()
    assert maintenance.check(store) == []


def test_what_was_not_measured_is_said_to_be_unknown_and_goes_through_an_export(
    store: Store, tmp_path: Path
) -> None:
    facts = EmbeddingFacts(SPACE.id, 7.5, label="Phone", groups=("Staff",))
    read(store, *write(tmp_path, vectors(1), ["alice"]), facts)
    with store.read() as reader:
        alice = reader.speakers.get("alice")
        [one] = reader.samples.of(alice.id)
        exchange.export(reader, SPACE, (), tmp_path / "out.jsonl")
    assert alice.groups == ("staff",)
    assert one.label == "phone"
    assert one.quality.to_dict() == {
        **dict.fromkeys(("duration_s", "snr_db", "clipped_fraction", "bandwidth_hz")),
        "net_speech_s": 7.5,
        "sample_rate_hz": None,
        "level_dbfs": None,
        "judged_speech_s": None,
        "unheard": [],
        "telephone": None,
        "warnings": [],
    }
    told = hashlib.sha256(f"voiceid embedding {SPACE.id}\n".encode() + one.vector.tobytes())
    assert one.pcm_sha256 == told.hexdigest()
    with (
        exchange.read_gallery(MODEL, tmp_path / "out.jsonl", Trusted(None)) as speakers,
        Store.open(tmp_path / "other.sqlite3").write() as writer,
    ):
        speakers.add_to(writer, append=False, trust=True)
        assert writer.samples.of(1)[0].quality == one.quality


@anything
@given(
    n=st.integers(1, 12),
    dtype=st.sampled_from(["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]),
    order=st.sampled_from("CF"),
    names=st.lists(st.text(max_size=6), min_size=12, max_size=12),
)
def test_any_array_and_any_names_are_imported_whole_or_refused(
    store: Store, tmp_path: Path, n: int, dtype: str, order: str, names: list[str]
) -> None:
    array = np.array(vectors(n), dtype=dtype, order=order)
    try:
        path, ids = write(tmp_path, array, names[:n])
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    try:
        done = read(store, path, ids)
    except VoiceIDError:
        assert enrolled(store) == {}
        return
    found = enrolled(store)
    assert done.speakers == len(found) == n
    expected = embeddings.unit(array.astype(np.float64))
    for vector, name in zip(expected, names, strict=False):
        [stored] = [v for k, v in found.items() if speaker_key(k) == speaker_key(name)]
        np.testing.assert_allclose(np.frombuffer(stored[0], "<f4"), vector, atol=2e-7)
    with store.write() as writer:
        for one in writer.speakers.all():
            writer.speakers.remove(one.id)


@anything
@given(data=st.data())
def test_an_array_that_is_damaged_anywhere_is_imported_whole_or_refused(
    store: Store, tmp_path: Path, data: st.DataObject
) -> None:
    path, ids = write(tmp_path, vectors(3), ["a", "b", "c"])
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[at:]
    path.write_bytes(whole)
    try:
        read(store, path, ids)
    except VoiceIDError:
        assert enrolled(store) == {}
        return
    with store.write() as writer:
        assert maintenance.check(store) == []
        for one in writer.speakers.all():
            writer.speakers.remove(one.id)


@pytest.mark.parametrize("n_bytes", [6, 7, 8, 9, 10, 12, 40])
def test_an_array_that_ends_in_its_header_is_refused(
    store: Store, tmp_path: Path, n_bytes: int
) -> None:
    path, ids = write(tmp_path, vectors(3), ["a", "b", "c"])
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(GalleryFileInvalid, match="damaged"):
        read(store, path, ids)
    assert enrolled(store) == {}


def spoilt(row: int, value: float) -> np.ndarray:
    array = vectors(6)
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (spoilt(3, np.nan), "row 4: a vector is not finite"),
        (spoilt(5, np.inf), "row 6: a vector is not finite"),
        (spoilt(0, 0.0), "row 1: a vector is not finite or has zero length"),
        (np.ones((6, DIM), dtype=np.float64) * 1e300, "row 1: a vector is not finite"),
        (np.ones((6, DIM), dtype=np.int32), "int32"),
        (np.ones((6, DIM), dtype=np.complex64), "complex64"),
        pytest.param(
            *(np.ones((6, DIM), dtype=np.longdouble), "float128 of shape"),
            marks=pytest.mark.skipif(not hasattr(np, "float128"), reason="not on this machine"),
        ),
        (np.ones(6 * DIM, dtype=np.float32), "of shape"),
        (np.ones((6, DIM, 1), dtype=np.float32), "of shape"),
        (np.ones((0, DIM), dtype=np.float32), "no rows"),
        (np.full((6, DIM), None, dtype=object), "Python objects"),
        (vectors(5), "more than 5 names, but .* has 5 rows"),
        (vectors(7), "6 names, but .* has 7 rows"),
    ],
)
def test_what_is_wrong_with_an_array_is_named(
    store: Store, tmp_path: Path, array: np.ndarray, told: str
) -> None:
    path, ids = write(tmp_path, array, list("abcdef"))
    with pytest.raises(GalleryFileInvalid, match=told):
        read(store, path, ids)
    assert enrolled(store) == {}


@pytest.mark.parametrize(
    ("names", "error", "told"),
    [
        (["a", "b", " "], GalleryFileInvalid, "row 3: name: .*empty"),
        (["a", "x" * 129, "c"], GalleryFileInvalid, "row 2: name: .*129"),
        (["a", "b\x07", "c"], GalleryFileInvalid, "row 2: name: .*invisible"),
        (["Alice", "b", "ALICE"], SpeakerExists, "row 3: ALICE occurs twice"),
        (["é", "b", "é"], SpeakerExists, "row 3: .*occurs twice"),
        (["a", "b", "Taken"], SpeakerExists, "row 3: TAKEN is enrolled already"),
    ],
)
def test_what_is_wrong_with_a_name_is_reported_with_its_row(
    store: Store, tmp_path: Path, names: list[str], error: type[VoiceIDError], told: str
) -> None:
    with store.write() as writer:
        writer.speakers.add("TAKEN")
    with pytest.raises(error, match=told):
        read(store, *write(tmp_path, vectors(3), names))
    assert enrolled(store) == {"TAKEN": []}


def test_the_space_and_the_speech_are_never_guessed(store: Store, tmp_path: Path) -> None:
    path, ids = write(tmp_path, vectors(2), ["a", "b"])
    with pytest.raises(GalleryFileInvalid, match="does not name its embedding space") as refused:
        read(store, path, ids, EmbeddingFacts(net_speech_s=3.0))
    assert SPACE.id in refused.value.hint
    with pytest.raises(SpaceMismatch, match=OTHER_SPACE.id):
        read(store, path, ids, EmbeddingFacts(space=OTHER_SPACE.id, net_speech_s=3.0))
    with pytest.raises(GalleryFileInvalid, match="how much speech") as refused:
        read(store, path, ids, EmbeddingFacts(space=SPACE.id))
    assert "--net-speech-s" in refused.value.hint
    with pytest.raises(GalleryFileInvalid, match="the names of its rows"):
        read(store, path, None)
    path, ids = write(tmp_path, np.ones((2, DIM + 1), np.float32), ["a", "b"])
    with pytest.raises(SpaceMismatch, match=f"{DIM + 1} dimensions"):
        read(store, path, ids)
    assert enrolled(store) == {}


COMPENSATION = random_compensation(np.random.default_rng(2))
COMPENSATED = replace(SPACE, compensation=COMPENSATION.digest[:16])


def test_vectors_as_the_encoder_makes_them_give_the_centroids_of_compensated_ones(
    store: Store, tmp_path: Path
) -> None:
    model, raw = model_of(COMPENSATED, COMPENSATION), vectors(4)
    assert COMPENSATED.raw.id == SPACE.id != COMPENSATED.id
    path, ids = write(tmp_path, raw, ["alice", "bob", "bob", "carol"])
    read(store, path, ids, FACTS, append=True, model=model)
    write(tmp_path, 2 * COMPENSATION.apply(raw), ["alice", "bob", "bob", "carol"])
    other = Store.open(tmp_path / "other.sqlite3")
    read(other, path, ids, replace(FACTS, space=COMPENSATED.id), append=True, model=model)
    for one in (store, other):
        with one.read() as reader:
            assert reader.spaces.dims() == {COMPENSATED.id: DIM}
            owners = reader.centroids.owners(reader.centroids.ids(COMPENSATED.id).tolist())
            assert {owner.telephone for owner in owners.values()} == {1.0}
        assert maintenance.check(one) == []
    of_raw, of_compensated = (
        {owner.name: centroid for owner, centroid in centroids_of(one)} for one in (store, other)
    )
    assert list(of_raw) == list(of_compensated) == ["alice", "bob", "carol"]
    for name, centroid in of_raw.items():
        np.testing.assert_allclose(centroid, of_compensated[name], atol=2e-7)
    expected = embeddings.centroid(COMPENSATION.apply(raw[1:3]))
    np.testing.assert_allclose(of_raw["bob"], expected, atol=2e-7)
    assert np.dot(of_raw["bob"], embeddings.centroid(raw[1:3])) < 0.999, "something was taken out"
    other.close()


def centroids_of(store: Store) -> list[tuple[Speaker, np.ndarray]]:
    with store.read() as reader:
        return [(one, reader.centroids.of(one.id, COMPENSATED.id)) for one in reader.speakers.all()]


def test_without_a_compensation_no_other_space_is_taken_for_the_encoders_own(
    store: Store, tmp_path: Path
) -> None:
    path, ids = write(tmp_path, vectors(2), ["a", "b"])
    for space in (SPACE, OTHER_SPACE):
        with pytest.raises(SpaceMismatch, match=space.id):
            read(store, path, ids, replace(FACTS, space=space.id), model=model_of(COMPENSATED))
    assert enrolled(store) == {}


def test_a_vector_of_which_the_compensation_leaves_nothing_is_reported_with_its_row(
    store: Store, tmp_path: Path
) -> None:
    mean = np.zeros((2, DIM), np.float32)
    first = np.eye(3, DIM, dtype=np.float32)
    rest = replace(COMPENSATION, means=mean, wideband_directions=first, telephone_directions=first)
    array = vectors(3)
    array[1] = first.sum(axis=0)
    path, ids = write(tmp_path, array, ["a", "b", "c"])
    with pytest.raises(GalleryFileInvalid, match=r"row 2: a vector .* has no direction"):
        read(store, path, ids, model=model_of(COMPENSATED, rest))
    assert enrolled(store) == {}


def test_one_vector_under_two_names_is_refused_as_one_recording_would_be(
    store: Store, tmp_path: Path
) -> None:
    array = vectors(3)
    array[2] = array[0] * 2  # the length does not matter
    with pytest.raises(ChangeRefused, match=r"v.npy row 3 of carol is a sample of alice already"):
        read(store, *write(tmp_path, array, ["alice", "bob", "carol"]))
    assert enrolled(store) == {}
    read(store, *write(tmp_path, array[:2], ["alice", "bob"]))
    with pytest.raises(ChangeRefused, match="row 1 of dora is a sample of bob"):
        read(store, *write(tmp_path, array[1:2], ["dora"]))


def test_append_adds_what_is_missing_and_takes_more_rows_of_a_name(
    store: Store, tmp_path: Path
) -> None:
    array = vectors(5)
    first = write(tmp_path, array[:2], ["Alice", "bob"])
    assert read(store, *first) == Exchanged(2, 2)
    assert read(store, *first, append=True) == Exchanged(0, 0)
    more = write(tmp_path, array, ["alice", "bob", "carol", "ALICE", "Carol"])
    assert read(store, *more, append=True) == Exchanged(1, 3)
    assert {name: len(found) for name, found in enrolled(store).items()} == {
        "Alice": 2,
        "bob": 1,
        "carol": 2,
    }
    assert maintenance.check(store) == []
    with store.read() as reader:
        carol = reader.speakers.get("carol")
        expected = embeddings.centroid(embeddings.unit(array[[2, 4]]))
        np.testing.assert_array_equal(reader.centroids.of(carol.id, SPACE.id), expected)


ROWS: list[dict[str, Any]] = [
    {"name": "alice", "net_speech_s": 4.5, "label": "phone"},
    {"name": "bob, jr.", "net_speech_s": 9.0, "label": ""},
]
DETAILS = [
    {"groups": ["staff", "night"], "created_at": "2026-01-02T03:04:05+00:00"},
    {"groups": [], "created_at": "2026-02-03"},
]
DIGESTS = ["a" * 64, "0123456789abcdef" * 4]


def columns_of(store: Store) -> list[tuple[object, ...]]:
    with store.read() as reader:
        return [
            (
                *(one.name, one.groups, one.created_at.isoformat(), clip.pcm_sha256),
                *(clip.quality.net_speech_s, clip.quality.telephone, clip.label),
            )
            for one in reader.speakers.all()
            for clip in reader.samples.of(one.id)
        ]


EXPECTED = [
    ("alice", ("night", "staff"), "2026-01-02T03:04:05+00:00", DIGESTS[0], 4.5, None, "phone"),
    ("bob, jr.", (), "2026-02-03T00:00:00+00:00", DIGESTS[1], 9.0, None, ""),
]


def full_rows() -> list[dict[str, Any]]:
    return [
        {**row, **more, "pcm_sha256": digest}
        for row, more, digest in zip(ROWS, DETAILS, DIGESTS, strict=True)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_list_may_say_more_of_each_row(store: Store, tmp_path: Path, suffix: str) -> None:
    path, _ = write(tmp_path, vectors(2), [])
    ids = tmp_path / f"ids{suffix}"
    if suffix == ".csv":
        text = io.StringIO()
        out = csv.DictWriter(text, list(full_rows()[0]))
        out.writeheader()
        out.writerows({**row, "groups": ";".join(row["groups"])} for row in full_rows())
        ids.write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    else:
        ids.write_text("\n".join(map(json.dumps, full_rows())), encoding="utf-8")
    assert read(store, path, ids, EmbeddingFacts(SPACE.id)) == Exchanged(2, 2)
    assert columns_of(store) == EXPECTED


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("net_speech_s", 0, "row 2: net_speech_s: 0 is not above 0 s"),
        ("net_speech_s", "soon", "row 2: net_speech_s"),
        ("net_speech_s", float("nan"), "row 2: net_speech_s"),
        ("net_speech_s", None, "row 2: net_speech_s"),
        ("label", "a;b", "row 2: label"),
        ("groups", ["x" * 65], "row 2: groups"),
        ("created_at", "yesterday", "row 2: created_at"),
        ("pcm_sha256", "A" * 64, "row 2: pcm_sha256"),
        ("name", 7, "row 2: name: 7 is not text"),
    ],
)
def test_a_field_that_cannot_be_is_named(
    store: Store, tmp_path: Path, column: str, value: object, told: str
) -> None:
    path, _ = write(tmp_path, vectors(2), [])
    rows = full_rows()
    rows[1][column] = value
    (tmp_path / "ids.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(GalleryFileInvalid, match=told):
        read(store, path, tmp_path / "ids.jsonl", EmbeddingFacts(SPACE.id))
    assert enrolled(store) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,speech\na,1\nb,1\n", "unknown column 'speech'"),
        (f"name,{'x' * 9000}\na,1\nb,1\n", f"unknown column '{'x' * 60}'; nothing"),
        ("name,narrowband\na,1\nb,1\n", "unknown column 'narrowband'"),
        ("name,telephone\na,0\nb,0\n", "unknown column 'telephone'"),
        ("net_speech_s\n1\n2\n", "no column 'name'"),
        ("name\na\nb,c\n", "line 3: 2 cells"),
        ('name\n"a\n', "not a CSV file"),
    ],
)
def test_a_list_that_is_malformed_is_refused(
    store: Store, tmp_path: Path, text: str, told: str
) -> None:
    path, _ = write(tmp_path, vectors(2), [])
    (tmp_path / "ids.csv").write_text(text, encoding="utf-8")
    with pytest.raises(GalleryFileInvalid, match=told):
        read(store, path, tmp_path / "ids.csv")
    (tmp_path / "ids.csv").write_bytes(b"name\n\xff\n")
    with pytest.raises(GalleryFileInvalid, match="'utf-8' codec"):
        read(store, path, tmp_path / "ids.csv")
    with pytest.raises(GalleryFileInvalid, match="cannot be read"):
        read(store, path, tmp_path / "none.csv")
    assert enrolled(store) == {}


def parquet(folder: Path, *, kind: pa.DataType | None = None, **columns: Any) -> Path:
    found = [row.tolist() for row in vectors(2)]
    made = pa.array(columns.pop("embedding", found), kind or pa.list_(pa.float32(), DIM))
    table = pa.table({"embedding": made, "name": ["alice", "bob"], **columns})
    pq.write_table(table, folder / "people.parquet")
    return folder / "people.parquet"


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), DIM),
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float16(), DIM),
    ],
    ids=str,
)
def test_a_table_of_parquet_is_imported(store: Store, tmp_path: Path, kind: pa.DataType) -> None:
    rows = full_rows()
    columns: dict[str, Any] = {key: [row[key] for row in rows] for key in rows[0]}
    moments = [moment(text) for text in columns["created_at"]]
    columns["created_at"] = pa.array(moments, pa.timestamp("us", tz="UTC"))
    path = parquet(tmp_path, kind=kind, **columns)
    assert read(store, path, None, EmbeddingFacts(SPACE.id)) == Exchanged(2, 2)
    assert columns_of(store) == EXPECTED
    [[alice], [bob]] = enrolled(store).values()
    step = 1e-3 if kind.value_type == pa.float16() else 2e-7
    expected = embeddings.unit(vectors(2))
    np.testing.assert_allclose(np.frombuffer(alice, "<f4"), expected[0], atol=step)
    np.testing.assert_allclose(np.frombuffer(bob, "<f4"), expected[1], atol=step)


def test_a_table_that_says_its_space_needs_no_word_of_it_and_contradicts_another(
    store: Store, tmp_path: Path
) -> None:
    def write_of(space: str) -> Path:
        table = pq.read_table(parquet(tmp_path))
        marked = table.replace_schema_metadata({"voiceid.embedding_space": space})
        pq.write_table(marked, tmp_path / "marked.parquet")
        return tmp_path / "marked.parquet"

    with pytest.raises(SpaceMismatch, match=OTHER_SPACE.id):
        read(store, write_of(OTHER_SPACE.id), None, EmbeddingFacts(net_speech_s=3.0))
    with pytest.raises(SpaceMismatch, match=OTHER_SPACE.id):
        read(store, write_of(OTHER_SPACE.id))
    path = write_of(SPACE.id)
    assert read(store, path, None, EmbeddingFacts(net_speech_s=3.0)) == Exchanged(2, 2)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"name": ["alice", None]}, "row 2: name: None is not text"),
        ({"embedding": [[1.0] * DIM, None]}, "row 2: there is no vector"),
        ({"embedding": [None, [1.0] * DIM]}, "row 1: there is no vector"),
        ({"embedding": [[1.0] * DIM, [1.0] * (DIM - 1) + [None]]}, "row 2: a vector is not finite"),
        ({"net_speech_s": [1.0, None]}, "row 2: net_speech_s"),
        ({"narrowband": [True, False]}, "unknown column 'narrowband'"),
        ({"telephone": [0.0, 0.0]}, "unknown column 'telephone'"),
        ({"colour": ["red", "blue"]}, "unknown column 'colour'"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(
    store: Store, tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    with pytest.raises(GalleryFileInvalid, match=told):
        read(store, parquet(tmp_path, **columns))
    assert enrolled(store) == {}


def test_lists_of_other_lengths_integers_and_empty_tables_are_refused(
    store: Store, tmp_path: Path
) -> None:
    uneven = [[1.0] * DIM, [1.0] * (DIM - 1)]
    path = parquet(tmp_path, kind=pa.list_(pa.float32()), embedding=uneven)
    with pytest.raises(GalleryFileInvalid, match=f"row 2: {DIM - 1} dimensions"):
        read(store, path)
    path = parquet(tmp_path, kind=pa.list_(pa.int32()), embedding=[[1] * DIM] * 2)
    with pytest.raises(GalleryFileInvalid, match="embedding is list<element: int32>"):
        read(store, path)
    pq.write_table(pq.read_table(parquet(tmp_path)).slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(GalleryFileInvalid, match="no rows"):
        read(store, tmp_path / "none.parquet")
    pq.write_table(pa.table({"name": ["alice"]}), tmp_path / "names.parquet")
    with pytest.raises(GalleryFileInvalid, match="no column 'embedding'"):
        read(store, tmp_path / "names.parquet")
    with pytest.raises(GalleryFileInvalid, match="is not needed"):
        read(store, parquet(tmp_path), tmp_path / "names.txt")
    assert enrolled(store) == {}


@settings(anything, max_examples=10)  # each is read by a process of its own
@given(data=st.data())
def test_a_table_that_is_damaged_anywhere_is_imported_whole_or_refused(
    store: Store, tmp_path: Path, data: st.DataObject
) -> None:
    path = parquet(tmp_path)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[at:]
    path.write_bytes(whole)
    try:
        read(store, path)
    except VoiceIDError:
        assert enrolled(store) == {}
        return
    with store.write() as writer:
        for one in writer.speakers.all():
            writer.speakers.remove(one.id)


def test_the_kind_is_known_by_the_beginning_of_a_file(tmp_path: Path, store: Store) -> None:
    path, ids = write(tmp_path, vectors(1), ["a"])
    assert exchange.is_embedding_file(path)
    assert exchange.is_embedding_file(parquet(tmp_path))
    assert not exchange.is_embedding_file(ids)
    assert not exchange.is_embedding_file(tmp_path / "none.npy")
    with pytest.raises(GalleryFileInvalid, match="neither"):
        read(store, ids, ids)
    np.savez(tmp_path / "v.npz", vectors(1))
    with pytest.raises(GalleryFileInvalid, match="neither"):
        read(store, tmp_path / "v.npz", ids)


@pytest.mark.usefixtures("from_scratch")
def test_without_pyarrow_a_table_is_refused_with_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path)
    (tmp_path / "pyarrow.py").write_text("raise ImportError")  # for the process that reads it
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ExtraMissing) as refused:
        read(store, path)
    assert "voiceid[parquet]" in refused.value.hint
