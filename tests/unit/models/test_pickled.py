"""Each limit of the unpickler refuses by itself, in a checkpoint that is sound otherwise."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from torch_files import Pickler, plain, zipped_pickle

from voiceid.errors import CheckpointInvalid
from voiceid.models import pickled
from voiceid.models.checkpoint import read_checkpoint
from voiceid.models.pickled import PickleReader, Refused

ARRAY = np.arange(4, dtype="f4")
SOUND = Pickler().dumps({"w": ARRAY})
NOTE = b"ctorch.torch_version\nTorchVersion\n)\x81"


def with_item(value: bytes) -> bytes:
    """Return a checkpoint of one tensor, whose dict has another item too."""
    assert SOUND.endswith(b"u}b.")
    return zipped_pickle(SOUND[:-4] + plain("x") + value + b"u}b.", [ARRAY])


def nothing(_: object) -> object:
    raise Refused("nothing is found here")


def read(program: bytes) -> object:
    return PickleReader(nothing, nothing).read(io.BytesIO(b"\x80\x02" + program + b"."))


def test_as_many_instructions_as_the_limit_are_carried_out_and_one_more_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 100_000 <= pickled._MAX_STEPS <= 1_000_000
    monkeypatch.setattr(pickled, "_MAX_STEPS", 6)
    assert read(b"]NaNa") == [None, None]  # with PROTO six, and STOP
    with pytest.raises(Refused, match="more instructions"):
        read(b"]NaNaN")
    with pytest.raises(CheckpointInvalid, match="more instructions"):
        read_checkpoint(zipped_pickle(SOUND, [ARRAY]))


SOUND_ITEMS = {
    "a dict with attributes": b"}}b",
    "a note with attributes": NOTE + b"}b",
    "a list": b"](K\x01K\x02e",
    "a list of one": b"]K\x01a",
    "a tuple": b"(K\x01K\x02t",
}


def doubled(n: int) -> bytes:
    """Return a dict that has another twice, which has another twice, and so on."""
    if n == 0:
        return b"}q\x00"
    again = plain("b") + b"h" + bytes([n - 1]) + b"s"
    return b"}q" + bytes([n]) + plain("a") + doubled(n - 1) + b"s" + again


UNSOUND_ITEMS = {
    "a dict that is there twice": doubled(1),
    "dicts that double": doubled(15),
    "a dict in itself": b"}q\x01" + plain("me") + b"h\x01s",
    "a deep dict": b"".join(b"}" + plain("k") for _ in range(21)) + b"N" + b"s" * 21,
    "a name without end": b"}" + plain("k" * 250) + b"Ns",
    "a list with attributes": b"]}b",
    "a text with attributes": plain("t") + b"}b",
    "a tensor with attributes": Pickler().dumps(ARRAY)[2:-1] + b"}b",
    "a tuple with items": b")" + plain("k") + b"Ns",
    "a note with an item": NOTE + plain("k") + b"Ns",
    "a list with an item": b"]NaK\x00Ns",
    "a tuple with an end": b")Na",
    "a dict with an end": b"}Na",
    "a key that nests": b"}N\x85Ns",
    "a key of bytes that are a flag": b"}\x88Ns",
    "a call of a text": plain("t") + b")R",
    "a call with a list": b"ccollections\nOrderedDict\n]R",
    "a name that is not known": b"ccollections\ndeque\n",
    "a name of another module": b"cother\nOrderedDict\n",
    "an instruction that is not known": b"K\x01K\x020",
}


@pytest.mark.parametrize("item", SOUND_ITEMS.values(), ids=SOUND_ITEMS)
def test_what_torch_writes_beside_a_tensor_is_passed_over(item: bytes) -> None:
    assert list(read_checkpoint(with_item(item))) == ["w"]


@pytest.mark.parametrize("item", UNSOUND_ITEMS.values(), ids=UNSOUND_ITEMS)
def test_one_thing_that_torch_does_not_write_is_enough_to_refuse_it(item: bytes) -> None:
    with pytest.raises(CheckpointInvalid):
        read_checkpoint(with_item(item))


def test_numbers_of_another_byte_order_are_refused() -> None:
    file = io.BytesIO()
    sound = zipfile.ZipFile(io.BytesIO(zipped_pickle(SOUND, [ARRAY])))
    with sound, zipfile.ZipFile(file, "w") as other:
        for name in sound.namelist():
            other.writestr(name, sound.read(name).replace(b"little", b"big"))
    with pytest.raises(CheckpointInvalid, match="not little-endian"):
        read_checkpoint(file.getvalue())


def test_a_memo_gives_back_what_was_put_there_and_nothing_else() -> None:
    assert read(b"]q\x01K\x07ah\x01\x86") == ([7], [7])
    with pytest.raises(KeyError):
        read(b"]q\x01h\x02\x86")


def test_more_values_at_the_end_than_one_are_damage() -> None:
    for program in (b"NN", b"N(", b""):
        with pytest.raises((ValueError, IndexError)):
            read(program)
