"""A model is installed whole and tested, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import CARDS, card_of, checkpoint, embed, weights
from packages import index_of, publish, sold_as
from torch_files import legacy, zipped, zipped_pickle

from voiceid.errors import (
    CheckpointInvalid,
    DownloadFailed,
    HashMismatch,
    ModelError,
    ModelNotInstalled,
    ModelUnknown,
    SelfTestFailed,
)
from voiceid.models.build import builder
from voiceid.models.cards import ModelCard, SelfTest
from voiceid.models.install import ModelStore

SILERO = "silero-vad"


@pytest.fixture
def silero(silero_checkpoint: Path) -> Path:
    """A real checkpoint that is built in a moment."""
    return silero_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def store_of(folder: Path, *cards: ModelCard, offline: bool = False) -> ModelStore:
    return ModelStore(folder, {card.name: card for card in cards}, offline=offline)


@pytest.fixture
def store(folder: Path) -> ModelStore:
    return store_of(folder, *CARDS.values())


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "checkpoint"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("model", ["campplus", "ge2e", "ge2e-800ms"])
def test_an_encoder_is_built_tested_and_answers_as_its_card_says(
    model: str, folder: Path, tmp_path: Path
) -> None:
    data = checkpoint("campplus" if model == "campplus" else "ge2e")
    card = card_of(data, model)
    store = store_of(folder, card)
    assert not store.is_installed(model)
    installed = store.pull(model, source=saved(tmp_path, data))
    assert left(folder) == [f"{model}.json", f"{model}.onnx"]
    assert store.verify(model).distance < 1e-6
    assert store.verify(model).sha256 == installed.sha256
    [vector] = embed(installed.path.read_bytes(), np.full((1, 16_000), 0.1, "f4"))
    assert vector.shape == (card.dim,)
    store.remove(model)
    assert left(folder) == []


def test_the_detector_is_fetched_by_pip_from_the_configured_index(store: ModelStore) -> None:
    stages = []
    store.ensure(SILERO, lambda stage, done, total: stages.append(stage))
    assert [*dict.fromkeys(stages)] == [
        "downloading silero-vad 6.2.3",
        "checking silero-vad 6.2.3",
        "building silero-vad",
        "testing silero-vad",
    ]
    assert store.verify(SILERO).distance < 1e-3
    assert left(store.folder) == [f"{SILERO}.json", f"{SILERO}.onnx"]


def test_the_receipt_says_what_was_built_from_what(store: ModelStore, silero: Path) -> None:
    installed = store.pull(SILERO, source=silero)
    receipt = json.loads((store.folder / f"{SILERO}.json").read_text())
    assert receipt["sha256"] == installed.sha256
    assert receipt["checkpoint_sha256"] == CARDS[SILERO].source.member_sha256
    assert receipt["package"] == "silero-vad 6.2.3"
    assert receipt["builder"] == builder(CARDS[SILERO]) == 4
    assert receipt["installed_at"].endswith("+00:00")


def test_the_list_tells_what_is_installed(store: ModelStore, silero: Path) -> None:
    store.pull(SILERO, source=silero)
    listed = {status.name: status for status in store.list()}
    assert listed.keys() == CARDS.keys()
    assert listed[SILERO].installed
    assert listed[SILERO].size_bytes == listed[SILERO].path.stat().st_size
    assert (listed["ge2e"].installed, listed["ge2e"].size_bytes) == (False, None)


def test_what_is_installed_is_not_fetched_again_unless_forced(
    store: ModelStore, silero: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index_of(tmp_path, monkeypatch)  # which is empty
    first = store.pull(SILERO, source=silero)
    assert store.pull(SILERO) == first
    store.ensure(SILERO)
    with pytest.raises(DownloadFailed):
        store.pull(SILERO, force=True)
    assert store.installed(SILERO) == first


def test_a_name_without_a_card_is_unknown(store: ModelStore) -> None:
    for call in (store.pull, store.ensure, store.verify, store.remove, store.installed):
        with pytest.raises(ModelUnknown, match="ge2e, ge2e-800ms, segmentation, silero-vad"):
            call("resnet")


def test_offline_nothing_is_fetched_but_a_file_is_taken(folder: Path, silero: Path) -> None:
    store = store_of(folder, *CARDS.values(), offline=True)
    for call in (store.ensure, store.pull):
        with pytest.raises(ModelNotInstalled, match="cannot be fetched offline") as caught:
            call(SILERO)
        assert "voiceid models pull silero-vad" in caught.value.hint
    assert left(folder) == []
    store.pull(SILERO, source=silero)
    store.ensure(SILERO)


def test_a_file_with_another_hash_is_refused(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(HashMismatch, match="was pinned"):
        store.pull(SILERO, source=saved(tmp_path, b"something else"))
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        store.pull(SILERO, source=tmp_path / "none")
    assert left(store.folder) == []


BROKEN = {
    "hostile": zipped_pickle(b"\x80\x02cposix\nsystem\nX\x01\0\0\0x\x85R."),
    "truncated": checkpoint("ge2e")[:-1],
    "of another network": checkpoint("campplus"),
    "of another shape": legacy({"model_state": {"linear.weight": np.zeros((2, 2), "f4")}}),
    "not finite": zipped({k: v * np.float32(np.nan) for k, v in weights("ge2e").items()}),
    "no checkpoint": b"nothing of the kind",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_bad_checkpoint_installs_nothing_even_under_the_right_hash(
    data: bytes, folder: Path, tmp_path: Path
) -> None:
    store = store_of(folder, card_of(data, "ge2e", (1.0,)))
    with pytest.raises(CheckpointInvalid):
        store.pull("ge2e", source=saved(tmp_path, data))
    assert left(folder) == []


def test_a_model_whose_embeddings_are_off_is_not_installed(folder: Path, tmp_path: Path) -> None:
    data = checkpoint("ge2e")
    good = card_of(data, "ge2e")
    off = np.array(good.selftest.output) + 0.02 * np.arange(256) / 256
    for output in (off, off[:-1], np.full(256, np.nan), np.zeros(256)):
        card = replace(good, selftest=SelfTest(tuple(map(float, output)), "somebody"))
        with pytest.raises(SelfTestFailed, match="away from somebody"):
            store_of(folder, card).pull("ge2e", source=saved(tmp_path, data))
        assert left(folder) == []


def test_a_file_that_is_no_graph_is_not_installed(folder: Path, tmp_path: Path) -> None:
    store = store_of(folder, card_of(b"no graph", SILERO, (1.0,)))
    with pytest.raises(CheckpointInvalid, match="is not an ONNX file"):
        store.pull(SILERO, source=saved(tmp_path, b"no graph"))
    assert left(folder) == []


@pytest.mark.parametrize("stage", ["downloading", "checking", "building", "testing"])
def test_an_interrupt_at_any_stage_leaves_nothing(
    stage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silero: Path
) -> None:
    store, source = store_of(folder, CARDS[SILERO]), silero
    if stage in {"downloading", "checking"}:
        wheel = publish(tmp_path / "index", silero.read_bytes())
        index_of(wheel.parent, monkeypatch)
        store, source = store_of(folder, sold_as(CARDS[SILERO], wheel)), None

    def interrupt(now: str, done_bytes: int, total_bytes: int | None) -> None:
        if now.startswith(stage):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        store.pull(SILERO, source=source, progress=interrupt)
    assert left(folder) == []
    store.pull(SILERO, source=source)
    assert store.verify(SILERO).distance < 1e-3


PULL = """
import sys
from pathlib import Path
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.install import ModelStore
store = ModelStore(Path(sys.argv[1]), load_cards(shipped_cards_folder()), offline=False)
def wait(stage, done, total):
    if len(sys.argv) > 3 and stage.startswith("testing"):
        print("now", flush=True)
        sys.stdin.read()
store.pull("silero-vad", source=Path(sys.argv[2]), force=True, progress=wait)
"""


def pulling(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_pull_installs_nothing_and_its_remains_are_swept_later(
    store: ModelStore, silero: Path
) -> None:
    with pulling(store.folder, silero, "wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
    assert not store.is_installed(SILERO)
    [remains] = store.folder.iterdir()
    store.pull(SILERO, source=silero)  # a pull may still be running in there
    assert remains.exists()
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(remains, (yesterday, yesterday))
    store.pull(SILERO, source=silero, force=True)
    assert left(store.folder) == [f"{SILERO}.json", f"{SILERO}.onnx"]


def test_a_scratch_folder_that_goes_while_another_pull_begins_stops_nothing(
    store: ModelStore, silero: Path
) -> None:
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / ".pull-gone").symlink_to("nowhere")
    assert store.pull(SILERO, source=silero).sha256


def test_processes_and_threads_that_pull_at_once_do_not_harm_each_other(
    store: ModelStore, silero: Path
) -> None:
    processes = [pulling(store.folder, silero) for _ in range(2)]
    stop = threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            if store.is_installed(SILERO):
                assert store.verify(SILERO).distance < 1e-3
                looks += 1
        return looks

    with ThreadPoolExecutor(5) as pool:
        looking = pool.submit(look)
        pulls = [pool.submit(store.pull, SILERO, source=silero, force=True) for _ in range(4)]
        try:
            digests = {pull.result().sha256 for pull in pulls}
            codes = [(process.communicate(), process.returncode)[1] for process in processes]
        finally:
            stop.set()
    assert codes == [0, 0]
    assert looking.result() > 0
    assert digests == {store.installed(SILERO).sha256}  # builds are the same to the byte
    assert left(store.folder) == [f"{SILERO}.json", f"{SILERO}.onnx"]


def test_a_changed_artefact_is_found_out(store: ModelStore, silero: Path) -> None:
    path = store.pull(SILERO, source=silero).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HashMismatch, match=r"but .* was installed"):
        store.verify(SILERO)


def test_a_receipt_that_fits_does_not_excuse_a_wrong_graph(
    store: ModelStore, silero: Path, tmp_path: Path
) -> None:
    model = onnx.load(silero)
    weight = next(w for w in model.graph.initializer if len(w.raw_data) > 10_000)
    values = np.frombuffer(weight.raw_data, "f4") * np.float32(1.5)
    weight.raw_data = values.tobytes()
    path = store.pull(SILERO, source=silero).path
    path.write_bytes(model.SerializeToString())
    receipt = path.with_suffix(".json")
    facts = json.loads(receipt.read_text())
    facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    receipt.write_text(json.dumps(facts))
    for ask in (store.installed, store.verify):
        with pytest.raises(HashMismatch, match="by its receipt"):
            ask(SILERO)
    with pytest.raises(SelfTestFailed):
        store_of(store.folder, replace(CARDS[SILERO], graph_sha256="")).verify(SILERO)
    store.remove(SILERO)
    assert not store.is_installed(SILERO)


def test_another_graph_than_the_one_that_is_pinned_is_not_installed(
    folder: Path, silero: Path
) -> None:
    other = store_of(folder, replace(CARDS[SILERO], graph_sha256="0" * 64))
    with pytest.raises(HashMismatch, match="its card pins"):
        other.pull(SILERO, source=silero)
    assert not other.is_installed(SILERO)


@pytest.mark.parametrize("receipt", ["", "[]", "{}", '{"sha256": 5}', "\xff"])
def test_a_model_without_a_sound_receipt_is_not_installed(
    receipt: str, store: ModelStore, silero: Path
) -> None:
    path = store.pull(SILERO, source=silero).path
    path.with_suffix(".json").write_text(receipt, encoding="latin-1")
    assert not store.is_installed(SILERO)
    with pytest.raises(ModelNotInstalled):
        store.installed(SILERO)


def test_a_model_built_for_another_card_must_be_built_again(
    store: ModelStore, silero: Path
) -> None:
    store.pull(SILERO, source=silero)
    newer = replace(CARDS[SILERO], frontend="another")
    assert not store_of(store.folder, newer).is_installed(SILERO)


def test_a_network_that_is_not_known_says_so(folder: Path, tmp_path: Path) -> None:
    data = checkpoint("ge2e")
    card = replace(card_of(data, "ge2e", (1.0,)), network="redimnet")
    with pytest.raises(ModelUnknown, match="'redimnet'"):
        store_of(folder, card).pull("ge2e", source=saved(tmp_path, data))


def test_a_folder_that_cannot_be_made_is_a_typed_error(silero: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ModelError, match="cannot be written to"):
        store_of(blocked / "models", *CARDS.values()).pull(SILERO, source=silero)


def test_models_made_elsewhere_may_be_copied_in(store: ModelStore, models_folder: Path) -> None:
    store.folder.mkdir()
    for suffix in (".onnx", ".json"):
        shutil.copy(models_folder / f"{SILERO}{suffix}", store.folder)
    assert store.verify(SILERO).name == SILERO
