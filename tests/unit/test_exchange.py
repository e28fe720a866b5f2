"""Files of exported speakers: what was written is read, and nothing else is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import (
    OTHER_SPACE,
    SPACE,
    model_of,
    random_compensation,
    random_unit,
    sample,
    unprivileged,
)

from voiceid import exchange
from voiceid.decision import embeddings
from voiceid.domain import SpeakerDetails
from voiceid.errors import (
    ChangeRefused,
    FileNotWritten,
    GalleryFileInvalid,
    SignatureInvalid,
    SpaceMismatch,
    SpeakerExists,
    SpeakerNotFound,
    VoiceIDError,
)
from voiceid.exchange import Guard, gallery_file
from voiceid.protection import Key, SigningKey, Trusted, passphrase, sealed_stream
from voiceid.protection.ciphers import OVERHEAD_BYTES
from voiceid.speech.speaker_model import SpeakerModel
from voiceid.store import Store, maintenance

MODEL = model_of(SPACE)
OURS, THEIRS = SigningKey(Key(b"o" * 32)), SigningKey(Key(b"t" * 32))
ANYBODY, SIGNED = Trusted(None), Guard(OURS)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def fill(store: Store) -> None:
    """Alice with two samples and everything that can be known, bob with one, and dora with none."""
    rng = np.random.default_rng(4)
    with store.write() as writer:
        alice = writer.speakers.add("Älice")
        new = [
            replace(sample(random_unit(rng), "one"), label="phone", overrides=("clipped",)),
            sample(random_unit(rng), "two"),
        ]
        writer.samples.add(alice.id, SPACE, new)
        writer.samples.add(alice.id, OTHER_SPACE, [sample(random_unit(rng), space=OTHER_SPACE)])
        details = SpeakerDetails(
            groups=("lobby", "staff"), metadata={"badge": "4711"}, expires_at=NOON, enabled=False
        )
        writer.speakers.edit(alice.id, details)
        writer.samples.add(writer.speakers.add("bob").id, SPACE, [sample(random_unit(rng), "b")])
        writer.speakers.add("dora")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "from.sqlite3")
    fill(made)
    yield made
    made.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "to.sqlite3")
    yield made
    made.close()


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Path:
    path = tmp_path / "gallery.jsonl"
    write(store, path)
    return path


def write(store: Store, path: Path, *names: str, guard: Guard = SIGNED) -> exchange.Exchanged:
    with store.read() as reader:
        return exchange.export(reader, SPACE, names, path, guard)


def read(
    target: Store,
    path: Path,
    *,
    append: bool = False,
    trust: bool = True,
    model: SpeakerModel = MODEL,
    how: tuple[Trusted, str | None] = (ANYBODY, None),
) -> exchange.Exchanged:
    made = exchange.read_gallery(model, path, *how)
    with made as speakers, target.write() as writer:
        return speakers.add_to(writer, append=append, trust=trust)


SET_HERE: dict[str, object] = {"id": 0, "overrides": None}


def contents(store: Store) -> list[tuple[object, ...]]:
    with store.read() as reader:
        return [
            (
                *(speaker.name, speaker.created_at, speaker.groups, dict(speaker.metadata)),
                *(speaker.expires_at, speaker.disabled_at is None),
                [
                    (s.vector.tobytes(), s.quality, s.created_at, s.to_dict() | SET_HERE)
                    for s in reader.samples.of(speaker.id, SPACE.id)
                ],
            )
            for speaker in reader.speakers.all()
            if SPACE.id in speaker.spaces
        ]


def sealed(lines: list[dict[str, Any]]) -> bytes:
    """Return the bytes of a file with a last line that fits, whatever stands in the others."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    n_samples = sum(len(line["samples"]) for line in lines[1:] if "samples" in line)
    end = {"speakers": len(lines) - 1, "samples": n_samples}
    end["sha256"] = hashlib.sha256(body).hexdigest()
    return body + json.dumps(end).encode() + b"\n"


def parsed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()[:-1]]


def test_what_is_exported_is_imported_to_the_last_bit(
    store: Store, target: Store, file: Path
) -> None:
    made = read(target, file)
    assert (made.speakers, made.samples) == (2, 3)
    assert contents(target) == contents(store)
    with target.read() as reader:
        for speaker in reader.speakers.all():
            assert all("trusted_import" in s.overrides for s in reader.samples.of(speaker.id))
        assert reader.spaces.dims() == {SPACE.id: SPACE.dim}
        assert reader.faults() == []
        with store.read() as old:
            for name in ("Älice", "bob"):
                found = reader.centroids.of(reader.speakers.get(name).id, SPACE.id)
                expected = old.centroids.of(old.speakers.get(name).id, SPACE.id)
                np.testing.assert_array_equal(found, expected)


def test_the_file_is_its_owners_alone_and_tells_its_checksum(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    *body, end = file.read_bytes().splitlines(keepends=True)
    assert json.loads(end)["sha256"] == hashlib.sha256(b"".join(body)).hexdigest()
    assert [path.name for path in file.parent.glob("*gallery*")] == [file.name]


def test_a_speaker_whose_line_could_not_be_read_back_is_not_exported(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = replace(gallery_file.EXPORT_VALUES, size=70)  # Alice has two samples
    monkeypatch.setattr(gallery_file, "EXPORT_VALUES", limit)
    assert write(store, tmp_path / "bob.jsonl", "bob").samples == 1
    with pytest.raises(FileNotWritten, match="more than 70 values"):
        write(store, tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()


def test_those_named_are_exported_and_no_others(
    store: Store, target: Store, tmp_path: Path
) -> None:
    assert write(store, tmp_path / "bob.jsonl", "BOB").speakers == 1
    read(target, tmp_path / "bob.jsonl")
    assert [row[0] for row in contents(target)] == ["bob"]


@pytest.mark.parametrize(
    ("names", "error"), [(["zoe"], SpeakerNotFound), (["bob", "dora"], ChangeRefused)]
)
def test_who_cannot_be_exported_is_reported_and_no_file_appears(
    store: Store, tmp_path: Path, names: list[str], error: type[VoiceIDError]
) -> None:
    with pytest.raises(error):
        write(store, tmp_path / "new.jsonl", *names)
    assert list(tmp_path.glob("*new*")) == []


def test_an_empty_gallery_is_not_exported(target: Store, tmp_path: Path) -> None:
    with pytest.raises(ChangeRefused, match="no speaker has samples there"):
        write(target, tmp_path / "new.jsonl")


def test_a_file_that_is_there_is_left_as_it_is(store: Store, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(FileNotWritten, match="exists already"):
        write(store, file)
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_or_not_ours_is_reported(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotWritten, match="cannot be written"):
        write(store, tmp_path / "none" / "x.jsonl")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    with store.read() as reader, unprivileged(), pytest.raises(FileNotWritten):
        exchange.export(reader, SPACE, (), locked / "x.jsonl")


def test_another_space_is_refused(target: Store, file: Path) -> None:
    with pytest.raises(SpaceMismatch):
        read(target, file, model=model_of(OTHER_SPACE))
    assert contents(target) == []


def heard_over(store: Store, *telephone: float | None) -> None:
    """Add eve, with a sample for each."""
    rng, new = np.random.default_rng(6), []
    for share in telephone:
        one = sample(random_unit(rng))
        quality = replace(one.utterance.quality, telephone=share)
        new.append(replace(one, utterance=replace(one.utterance, quality=quality)))
    with store.write() as writer:
        writer.samples.add(writer.speakers.add("eve").id, SPACE, new)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("trust", [False, True])
def test_what_a_file_says_of_the_line_is_believed_with_trust_alone(
    store: Store, target: Store, tmp_path: Path, trust: bool, append: bool
) -> None:
    heard_over(store, 0.0, 0.75)
    write(store, tmp_path / "eve.jsonl", "eve")
    lines = parsed(tmp_path / "eve.jsonl")
    assert [one["quality"]["telephone"] for one in lines[1]["samples"]] == [0.0, 0.75]
    if append:  # she is there already, and gets one of the two
        first = [lines[0], {**lines[1], "samples": lines[1]["samples"][:1]}]
        (tmp_path / "first.jsonl").write_bytes(sealed(first))
        read(target, tmp_path / "first.jsonl", trust=trust)
    done = read(target, tmp_path / "eve.jsonl", append=append, trust=trust)
    assert done.samples == (1 if append else 2)
    with target.read() as reader:
        found = reader.samples.of(reader.speakers.get("eve").id)
        [owner] = reader.centroids.owners(reader.centroids.ids(SPACE.id).tolist()).values()
    assert [one.quality.telephone for one in found] == ([0.0, 0.75] if trust else [None, None])
    assert [one.overrides for one in found] == [("trusted_import",) if trust else ()] * 2
    assert owner.telephone == (0.375 if trust else 1.0)
    assert maintenance.check(target) == []


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "0", True])
def test_a_share_of_a_telephone_that_cannot_be_is_refused(
    target: Store, file: Path, wrong: object
) -> None:
    lines = parsed(file)
    lines[1]["samples"][0]["quality"]["telephone"] = wrong
    file.write_bytes(sealed(lines))
    with pytest.raises(GalleryFileInvalid, match="telephone of a recording is"):
        read(target, file)
    assert contents(target) == []


def test_a_file_of_an_older_program_says_nothing_of_the_line(target: Store, file: Path) -> None:
    lines = parsed(file)
    for line in lines[1:]:
        for one in line["samples"]:
            del one["quality"]["telephone"]
    del lines[0]["embedding_space"]["compensation"]
    file.write_bytes(sealed(lines))
    assert read(target, file).samples == 3
    with target.read() as reader:
        owners = reader.centroids.owners(reader.centroids.ids(SPACE.id).tolist())
        assert {owner.telephone for owner in owners.values()} == {1.0}
    assert maintenance.check(target) == []


def test_a_file_of_embeddings_as_the_encoder_makes_them_is_compensated(
    store: Store, target: Store, file: Path
) -> None:
    """So that an export from before a model was compensated is not lost."""
    compensation = random_compensation(np.random.default_rng(5))
    space = replace(SPACE, compensation=compensation.digest[:16])
    assert read(target, file, model=model_of(space, compensation)).samples == 3
    with target.read() as reader, store.read() as old:
        assert reader.spaces.dims() == {space.id: space.dim}
        for name in ("Älice", "bob"):
            raw = [one.vector for one in old.samples.of(old.speakers.get(name).id, SPACE.id)]
            expected = embeddings.centroid(compensation.apply(np.array(raw)))
            found = reader.centroids.of(reader.speakers.get(name).id, space.id)
            np.testing.assert_allclose(found, expected, atol=2e-7)
    assert maintenance.check(target) == []
    with pytest.raises(SpaceMismatch):
        read(target, file, model=model_of(space))


def test_who_is_there_is_refused_or_gets_what_is_missing(
    store: Store, target: Store, file: Path, tmp_path: Path
) -> None:
    read(target, file)
    with pytest.raises(SpeakerExists, match="bob is enrolled already"):
        read(target, file)
    again = read(target, file, append=True)
    assert (again.speakers, again.samples) == (0, 0)
    with store.write() as writer:
        new = sample(random_unit(np.random.default_rng(8)), "three")
        writer.samples.add(writer.speakers.get("bob").id, SPACE, [new])
        writer.speakers.edit(writer.speakers.get("bob").id, SpeakerDetails(groups=("vip",)))
    write(store, tmp_path / "later.jsonl")
    later = read(target, tmp_path / "later.jsonl", append=True)
    assert (later.speakers, later.samples) == (0, 1)
    with target.read() as reader:
        assert reader.speakers.get("bob").groups == ()  # an append gives no speaker a door


def test_a_recording_that_is_somebody_elses_is_refused(target: Store, file: Path) -> None:
    with target.write() as writer:
        taken = sample(random_unit(np.random.default_rng(8)), "b")
        writer.samples.add(writer.speakers.add("robert").id, SPACE, [taken])
    with pytest.raises(ChangeRefused, match="robert"):
        read(target, file)
    assert [row[0] for row in contents(target)] == ["robert"]


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_file_that_is_damaged_anywhere_changes_nothing(
    target: Store, file: Path, data: st.DataObject
) -> None:
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat", "more"]))
    damaged = {
        "flip": whole[:at]
        + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))])
        + whole[at + 1 :],
        "cut": whole[:at],
        "drop": whole[:at] + whole[at + 1 :],
        "repeat": whole[:at] + whole[at : at + 40] + whole[at:],
        "more": whole + whole[at:],
    }[how]
    bad = file.with_name("bad.jsonl")
    bad.write_bytes(damaged)
    *lines, end = whole.splitlines(keepends=True)
    if damaged.startswith(b"".join(lines)):  # a space, or the line break, of the last line
        with contextlib.suppress(ValueError):
            if json.loads(damaged[len(b"".join(lines)) :]) == json.loads(end):
                return
    with pytest.raises((GalleryFileInvalid, SpaceMismatch, SignatureInvalid)) as refused:
        read(target, bad, how=(Trusted(frozenset({OURS.public})), None))
    assert refused.value.hint
    assert contents(target) == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within a document."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inner:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_file_with_anything_in_it_is_imported_or_refused_and_never_half(
    target: Store, file: Path, data: st.DataObject
) -> None:
    """Somebody wrote the file by hand, and got the checksum right."""
    lines = parsed(file)
    *inner, last = data.draw(st.sampled_from(list(places(lines))[1:]))
    holder: Any = lines
    for key in inner:
        holder = holder[key]
    if data.draw(st.booleans()) and isinstance(holder, dict):
        del holder[last]
    else:
        holder[last] = data.draw(anything)
    bad = file.with_name("bad.jsonl")
    try:
        bad.write_bytes(sealed(lines))
    except (TypeError, AttributeError):  # a line that is no object cannot be counted
        return
    try:
        read(target, bad)
    except VoiceIDError:
        assert contents(target) == []
        return
    with target.write() as writer:
        assert writer.faults() == []
        for speaker in writer.speakers.all():
            assert speaker.n_samples
            writer.speakers.remove(speaker.id)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lines: lines[0].update(format="other"), "not a file of exported speakers"),
        (lambda lines: lines[0].update(version=2), "version 2"),
        (lambda lines: lines[0].pop("embedding_space"), "does not name its embedding space"),
        (lambda lines: lines[0]["embedding_space"].update(id="test-0"), "does not match"),
        (lambda lines: lines[1]["samples"].append(lines[1]["samples"][0]), "occurs twice"),
        (lambda lines: lines[1].update(samples=[]), "no recording"),
        (lambda lines: lines[1]["samples"][0].update(vector="AAAA"), "not a unit vector"),
        (lambda lines: lines[1]["samples"][0].update(vector="*"), "not base64"),
        (lambda lines: lines[1]["samples"][0].update(pcm_sha256="0"), "malformed"),
        (lambda lines: lines[1]["speaker"].update(name=""), "name"),
        (lambda lines: lines[1]["speaker"].update(expires_at="soon"), "not a date"),
        (
            lambda lines: lines[1]["samples"][0]["quality"].update(net_speech_s=float("nan")),
            "net_speech_s",
        ),
    ],
)
def test_what_is_wrong_is_named(
    target: Store, file: Path, spoil: Callable[[list[dict[str, Any]]], object], told: str
) -> None:
    lines = parsed(file)
    spoil(lines)
    file.write_bytes(sealed(lines))
    with pytest.raises(GalleryFileInvalid, match=told):
        read(target, file)
    assert contents(target) == []


def test_new_speakers_whose_expiry_is_past_are_counted(target: Store, file: Path) -> None:
    for year, n_expired in ((2999, 0), (2020, 1)):
        lines = parsed(file)
        for line in lines:
            if line.get("speaker", {}).get("expires_at"):  # one has one
                line["speaker"]["expires_at"] = f"{year}-01-01T00:00:00+00:00"
        file.write_bytes(sealed(lines))
        with target.write() as writer:
            for speaker in writer.speakers.all():
                writer.speakers.remove(speaker.id)
        assert read(target, file).expired == n_expired
    assert read(target, file, append=True).expired == 0, "of those who are new"


def test_a_disabled_speaker_does_not_come_back_enabled(target: Store, file: Path) -> None:
    lines = parsed(file)
    lines[1]["speaker"]["disabled"] = "no"  # anything but false bars
    file.write_bytes(sealed(lines))
    read(target, file)
    with target.read() as reader:
        assert reader.speakers.get("Älice").disabled_at is not None


def test_a_file_is_read_in_of_those_who_are_trusted_and_as_it_was_signed(
    store: Store, target: Store, file: Path
) -> None:
    ours, theirs = (Trusted(frozenset({key.public})) for key in (OURS, THEIRS))
    with pytest.raises(SignatureInvalid, match="signed by another key") as refused:
        read(target, file, how=(theirs, None))
    assert "--signed-by KEY" in refused.value.hint
    lines = parsed(file)
    unsigned = file.with_name("unsigned.jsonl")
    unsigned.write_bytes(sealed(lines))  # as an attacker writes it, who has no key
    with pytest.raises(SignatureInvalid, match="is not signed"):
        read(target, unsigned, how=(ours, None))
    lines[1]["speaker"]["name"] = "mallory"
    *body, end = sealed(lines).splitlines(keepends=True)
    was = json.loads(file.read_bytes().splitlines()[-1])["signed"]
    for signed in (was, {**was, "signature": ""}, {**was, "signature": 7}, [was], "x", None):
        unsigned.write_bytes(
            b"".join(body) + json.dumps({**json.loads(end), "signed": signed}).encode()
        )
        with pytest.raises(SignatureInvalid):
            read(target, unsigned, how=(ours, None))
    assert contents(target) == []
    read(target, file, how=(ours, None))
    assert contents(target) == contents(store)


WORDS, PIECE = "correct horse battery staple", 500


@pytest.fixture(scope="module")
def sealed_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The speakers of `fill` in a sealed file of several pieces."""
    folder = tmp_path_factory.mktemp("sealed")
    made = Store.open(folder / "from.sqlite3")
    fill(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passphrase, "_N", 2)  # else a second each time that it is read
        patch.setattr(sealed_stream, "_PIECE", PIECE)
        patch.setattr(sealed_stream, "_SEALED", PIECE + OVERHEAD_BYTES)
        write(made, folder / "staff.sealed", guard=Guard(OURS, WORDS))
        made.close()
        yield folder / "staff.sealed"


def test_a_sealed_file_says_nothing_and_opens_with_its_passphrase_alone(
    target: Store, sealed_file: Path
) -> None:
    content = sealed_file.read_bytes()
    assert len(content) > 4 * PIECE
    for word in (b"lice", b"lobby", b"4711", b"speaker", b"vector", b"signed", SPACE.id.encode()):
        assert word not in content
    assert exchange.is_sealed(sealed_file)
    with pytest.raises(GalleryFileInvalid, match="sealed with a passphrase") as refused:
        read(target, sealed_file)
    assert "--passphrase PLACE" in refused.value.hint
    with pytest.raises(GalleryFileInvalid, match="sealed with another passphrase, or was changed"):
        read(target, sealed_file, how=(ANYBODY, WORDS + " "))
    assert contents(target) == []
    ours = Trusted(frozenset({OURS.public}))
    assert read(target, sealed_file, how=(ours, WORDS)).samples == 3
    with pytest.raises(SignatureInvalid):
        read(target, sealed_file, how=(Trusted(frozenset({THEIRS.public})), WORDS))


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_a_sealed_file_that_was_changed_anywhere_is_refused(
    sealed_file: Path, data: st.DataObject
) -> None:
    whole = sealed_file.read_bytes()
    head = whole.index(b"\n") + 1
    pieces = st.sampled_from([0, head, head + PIECE + OVERHEAD_BYTES, len(whole) - 1])
    at = data.draw(pieces | st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "more", "swap"]))
    piece = whole[head : head + PIECE + OVERHEAD_BYTES]
    damaged = {
        "flip": whole[:at]
        + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))])
        + whole[at + 1 :],
        "cut": whole[:at],
        "drop": whole[:at] + whole[at + 1 :],
        "more": whole + whole[at:],
        "swap": whole[:head] + whole[head + len(piece) :] + piece,
    }[how]
    bad = sealed_file.with_name("bad")
    bad.write_bytes(damaged)
    with pytest.raises(GalleryFileInvalid) as refused:
        exchange.read_gallery(MODEL, bad, ANYBODY, WORDS)
    assert refused.value.hint


@settings(deadline=None, max_examples=60)
@given(
    n=st.sampled_from([0, -1, 1, 3, 1 << 19, 1 << 40, 1 << 200, 1.0, True, "2", None]) | anything,
    r=st.sampled_from([8, 8, 1, 1 << 30, 0]),
    p=st.sampled_from([1, 1, 0, 5, 1 << 30]),
    salt=st.sampled_from(["AAAAAAAAAAAAAAAAAAAAAA==", "", "*", 7, "A" * 600]),
)
def test_no_first_line_makes_a_reader_work_or_take_memory(
    sealed_file: Path, n: Any, r: Any, p: Any, salt: Any
) -> None:
    if type(n) is int and n in {1 << e for e in range(1, 19)}:
        return
    facts = {"n": n, "r": r, "p": p, "salt": salt}
    head = {"format": "voiceid-sealed-gallery", "version": 1, "scrypt": facts}
    bad = sealed_file.with_name("head")
    bad.write_bytes(json.dumps(head).encode() + b"\n" + bytes(100))
    with pytest.raises(GalleryFileInvalid, match=r"first line|more work or memory"):
        exchange.read_gallery(MODEL, bad, ANYBODY, WORDS)
