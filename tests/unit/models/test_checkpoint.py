"""Checkpoints come out as they went in; anything else is refused, and nothing is run."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch_files import PROTOCOL, Pickler, legacy, legacy_pickle, plain, zipped, zipped_pickle

from voiceid.errors import CheckpointInvalid
from voiceid.models.checkpoint import read_checkpoint, read_file, require_shapes

WRITERS = [zipped, legacy]
STATE = {
    "model_state": {"lstm.weight": np.arange(12, dtype="f4").reshape(3, 4), "count": np.array(7)},
    "optimizer": {"state": {140178894882424: {"exp_avg": np.ones(3, "f8")}}, "lr": 1e-4},
    "epochs": [1, 2, 3],
    "note": "naïve",
}
FLAT = {
    "model_state.lstm.weight": STATE["model_state"]["lstm.weight"],
    "model_state.count": np.array(7),
    "optimizer.state.140178894882424.exp_avg": np.ones(3),
}
TENSOR = Pickler().dumps({"w": np.zeros(4, "f4")})
STORAGE = b"(" + plain("storage") + b"ctorch\nFloatStorage\n" + plain("0") + plain("cpu")
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("
HOOKS = b"\x89ccollections\nOrderedDict\n)RtR"


def tensor(
    count: int = 4, offset: int = 0, shape: Any = (4,), strides: Any = (1,), key: bytes = b""
) -> bytes:
    """Return a pickle of a dict with one tensor that may be anything."""
    emit = Pickler()._emit
    view = plain(offset) + emit(shape) + emit(strides)
    storage = STORAGE + plain(count) + b"tQ"
    return b"\x80\x02}" + plain("w") + key + REBUILD + storage + view + HOOKS + b"s."


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("write", WRITERS)
def test_tensors_come_out_by_their_path_and_the_rest_is_left(write: Callable[..., bytes]) -> None:
    same(read_checkpoint(write(STATE)), FLAT)


@pytest.mark.parametrize("write", WRITERS)
@given(
    array=hnp.arrays(
        st.sampled_from([np.dtype(d) for d in ("f2", "f4", "f8", "i8")]),
        hnp.array_shapes(min_dims=0, max_dims=4, max_side=4, min_side=0),
        elements={"allow_nan": True},
    ),
    order=st.sampled_from("CF"),
)
def test_every_array_survives_whatever_its_order(
    write: Callable[..., bytes], array: np.ndarray, order: str
) -> None:
    stored = np.asarray(array, order=order)
    [found] = read_checkpoint(write({"w": stored})).values()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_tensors_that_share_a_storage_each_get_their_part() -> None:
    values = np.arange(4, dtype="f4")
    second = tensor(offset=2, shape=(2,)).replace(plain("w"), plain("v"), 1)
    both = tensor()[:-2] + b"s" + second[3:]  # the second's items go into the first's dict
    found = read_checkpoint(zipped_pickle(both, [values]))
    same(found, {"w": values, "v": values[2:]})
    found["w"][:] = 9
    assert list(found["v"]) == [2, 3]


def test_notes_about_the_tensors_are_passed_over() -> None:
    """As pyannote writes them: objects of its own classes that are made and given attributes."""
    version = plain("v") + b"ctorch.torch_version\nTorchVersion\n" + plain("2.0") + b"\x85\x81s"
    problem = b"cpyannote.audio.core.task\nProblem\nK\x01\x85R"
    task = b"cpyannote.audio.core.task\nSpecifications\n)\x81}" + plain("p") + problem + b"sb"
    noted = tensor()[:-1] + version + plain("task") + task + b"s."
    same(read_checkpoint(zipped_pickle(noted, [np.ones(4, "f4")])), {"w": np.ones(4, "f4")})


HOSTILE = {
    "os.system": b"cposix\nsystem\n" + plain("touch {}") + b"\x85R",
    "os.system by another name": b"cos\nsystem\n" + plain("touch {}") + b"\x85R",
    "eval": b"c__builtin__\neval\n" + plain("open({!r},'w')") + b"\x85R",
    "exec": b"cbuiltins\nexec\n" + plain("open({!r},'w')") + b"\x85R",
    "getattr": b"c__builtin__\ngetattr\n" + plain("touch {}") + b"\x85R",
    "a name looked up from the stack": b"\x8c\x02os\x8c\x06system\x93" + plain("{}") + b"\x85R",
    "an instance": b"(" + plain("touch {}") + b"ios\nsystem\n",
    "an object": b"(cos\nsystem\n" + plain("touch {}") + b"o",
    "torch.load": b"ctorch\nload\n" + plain("{}") + b"\x85R",
    "a dotted name": b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n",
    "a dtype called": b"ctorch\nFloatStorage\n)R",
    "a dtype made new": b"ctorch\nFloatStorage\n)\x81",
    "a text called": plain("os.system") + plain("touch {}") + b"\x85R",
    "an ordered dict of something": b"ccollections\nOrderedDict\n" + plain(1) + b"\x85R",
    "an extension": b"\x82\x01",
    "a reference by text": b"P0\n",
    "a reference to a module": b"(" + plain("module") + b"tQ",
    "a reference to nothing": b"NQ",
    "a changed tensor": TENSOR[2:-1] + plain("w") + b"}b",
    "a changed name": b"ctorch._utils\n_rebuild_tensor_v2\n}b",
    "a note called": b"ctorch.torch_version\nTorchVersion\n)\x81)R",
    "a note with items": b"ctorch.torch_version\nTorchVersion\n)\x81" + plain("k") + b"Ns",
    "a note of another package": b"cpyannote.audio.core.task\nTask\n)\x81",
    "a tensor of nothing": REBUILD + b"NNNNtR",
    "a tensor of too little": REBUILD + b"tR",
    "a key that nests": b"}" + b"K\x01" + b"\x85" * 300_000 + b"K\x01s",
    "a set of what nests": b"\x8f(K\x01" + b"\x85" * 300_000 + b"\x90",
    "a memo slot in the billions": b"Nr\xff\xff\xff\xff",
    "a text of 4 GiB": b"X\xff\xff\xff\xff",
    "bytes without end": b"\x8e" + b"\xff" * 8,
    "a buffer without end": b"\x96" + b"\xff" * 8,
    "more instructions than a checkpoint has": b"N" + b"N0" * 600_000,
    "a dict in itself": b"}q\x01" + plain("me") + b"h\x01s",
    "dicts that double": b"}q\x00"
    + b"".join(
        b"}q%c" % (n + 1) + plain("a") + b"h%c" % n + b"s" + plain("b") + b"h%c" % n + b"s"
        for n in range(60)
    ),
    "a deep dict": b"}" * 3000 + plain("k") + b"NN" * 3000,
    "a name without end": b"}" + plain("k" * 100_000) + TENSOR[2:-1] + b"s",
    "nothing": b"",
    "nothing on a mark": b"(",
    "too few values": b"\x87",
    "items without a dict": b"(N" + plain("k") + b"Nu",
    "an odd number of items": b"}(" + plain("k") + b"u",
    "items without a list": b"}(Ne",
}


@pytest.mark.parametrize("wrap", [zipped_pickle, legacy_pickle])
@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_pickle_is_refused_and_runs_nothing(
    program: bytes, wrap: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    trace = tmp_path / "executed"
    body = program.replace(b"{!r}", repr(str(trace)).encode()).replace(b"{}", str(trace).encode())
    with pytest.raises(CheckpointInvalid, match="not a usable checkpoint") as caught:
        read_checkpoint(wrap(b"\x80\x02" + body + b"."))
    assert not trace.exists()
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


def test_a_pickle_made_by_python_itself_is_refused(tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple[Any, ...]:
            return subprocess.call, (["touch", str(tmp_path / "executed")],)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(CheckpointInvalid):
            read_checkpoint(zipped_pickle(pickle.dumps({"w": Exploit()}, protocol)))
    assert not list(tmp_path.iterdir())


LYING = {
    "a storage that is too small": tensor(count=2, shape=(2,)),
    "a storage that is too large": tensor(count=8),
    "a storage of all memory": tensor(count=1 << 60, shape=(1 << 60,)),
    "a storage of less than nothing": tensor(count=-1),
    "a tensor behind its storage": tensor(offset=1),
    "a tensor before its storage": tensor(offset=-1),
    "a tensor far behind its storage": tensor(offset=1 << 70, shape=(1,)),
    "strides that leave the storage": tensor(shape=(2, 2), strides=(3, 1)),
    "strides that go back": tensor(strides=(-1,)),
    "a tensor that repeats its storage without end": tensor(shape=(1 << 40,), strides=(0,)),
    "a shape of all memory": tensor(shape=(1 << 40, 1 << 40), strides=(0, 0)),
    "an empty shape of absurd size": tensor(shape=(0, 1 << 80), strides=(1, 1)),
    "more dimensions than there are": tensor(shape=(1,) * 100, strides=(1,) * 100),
    "fewer strides than dimensions": tensor(shape=(2, 2)),
    "a shape of texts": tensor(shape=("a",)),
    "a shape of flags": tensor(shape=(True,)),
    "a shape that is a number": tensor(shape=4),
}


@pytest.mark.parametrize("wrap", [zipped_pickle, legacy_pickle])
@pytest.mark.parametrize("pickled", LYING.values(), ids=LYING.keys())
def test_a_tensor_that_lies_about_its_numbers_is_refused(
    pickled: bytes, wrap: Callable[..., bytes]
) -> None:
    tracemalloc.start()
    with pytest.raises(CheckpointInvalid):
        read_checkpoint(wrap(pickled, [np.zeros(4, "f4")]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 << 20


def test_tensors_that_together_take_all_memory_are_refused() -> None:
    array = np.zeros(1 << 20, "f4")
    one = tensor(count=array.size, shape=(array.size,))[3:-2]
    many = b"".join(plain(f"w{n}") + one[len(plain("w")) :] for n in range(300))
    with pytest.raises(CheckpointInvalid, match="more than 4 times its bytes"):
        read_checkpoint(zipped_pickle(b"\x80\x02}(" + many + b"u.", [array]))


def test_two_storages_of_one_name_are_refused() -> None:
    two = tensor()[:-2] + b"s" + tensor(count=2, shape=(2,))[3:]
    with pytest.raises(CheckpointInvalid, match="one name"):
        read_checkpoint(zipped_pickle(two, [np.zeros(4, "f4")]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"\x80\x02.",
        b"not a checkpoint at all",
        zipped({}),
        legacy({"lr": 1}),
        legacy(STATE, system={"little_endian": False}),
        legacy(STATE, system={}),
        legacy(STATE).replace(pickle.dumps(PROTOCOL, 2), pickle.dumps(1002, 2)),
        legacy(STATE)[:-1],
        zipped(STATE).replace(b"little", b"bigend"),
    ],
)
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointInvalid):
        read_checkpoint(data)


def test_a_storage_that_claims_another_size_than_its_tensors_is_refused() -> None:
    data = legacy({"w": np.zeros(4, "f4")})
    with pytest.raises(CheckpointInvalid, match="another size"):
        read_checkpoint(data[:-24] + struct.pack("<q", 1 << 40) + data[-16:])


def test_compressed_and_encrypted_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"N" * 10_000_000)
    with pytest.raises(CheckpointInvalid, match="compressed"):
        read_checkpoint(path.read_bytes())
    data = bytearray(zipped(STATE))
    for at in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1  # the flag that says "encrypted"
    with pytest.raises(CheckpointInvalid):
        read_checkpoint(bytes(data))


def test_an_archive_that_claims_to_unpack_to_more_than_the_limit_is_refused() -> None:
    data = bytearray(zipped(STATE))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1 << 30)
    with pytest.raises(CheckpointInvalid, match="unpacks to more"):
        read_checkpoint(bytes(data))


@pytest.mark.parametrize("write", WRITERS)
@given(data=st.data())
def test_a_damaged_checkpoint_is_refused_or_read_as_tensors(
    write: Callable[..., bytes], data: st.DataObject
) -> None:
    whole = bytearray(write(STATE))
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(0, len(whole) - 1)))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = read_checkpoint(bytes(whole))
    except CheckpointInvalid:
        return
    assert all(isinstance(value, np.ndarray) for value in found.values())
    assert all(value.dtype.kind in "fi" for value in found.values())


def test_a_truncated_checkpoint_is_refused_wherever_it_ends() -> None:
    whole = legacy(STATE)
    for end in range(len(whole)):
        with pytest.raises(CheckpointInvalid):
            read_checkpoint(whole[:end])


def test_reading_a_checkpoint_loads_neither_torch_nor_onnx() -> None:
    code = "import sys, voiceid.models.checkpoint; print({'torch', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_missing_tensor_a_wrong_shape_and_nan_are_named() -> None:
    tensors = {"a": np.zeros((2, 3), "f4"), "b": np.array([np.nan], "f4")}
    require_shapes(tensors, {"a": (2, 3)}, name="it")
    with pytest.raises(CheckpointInvalid, match="no tensor c"):
        require_shapes(tensors, {"c": (1,)}, name="it")
    with pytest.raises(CheckpointInvalid, match=r"a has shape \(2, 3\), expected \(3, 2\)"):
        require_shapes(tensors, {"a": (3, 2)}, name="it")
    with pytest.raises(CheckpointInvalid, match="b holds numbers that are not finite"):
        require_shapes(tensors, {"b": (1,)}, name="it")


def test_a_checkpoint_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match="No such file"):
        read_file(tmp_path / "none.pt")
    with pytest.raises(CheckpointInvalid, match="a folder"):
        read_file(tmp_path)


def test_an_escape_that_means_nothing_is_refused_where_warnings_are_errors() -> None:
    with pytest.raises(CheckpointInvalid):
        read_checkpoint(b"S'\\K'\n.")
