"""Recordings one behind the other become one, and nothing that was lost of them is left out."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from sounds import RATE, decoded, encode, encode_ffmpeg, film, melody

from voiceid.audio.arrays import ArrayDecoder
from voiceid.audio.chain import Chain
from voiceid.audio.decoder import Decoder
from voiceid.audio.parts import Layout, Part
from voiceid.errors import AudioUnreadable


def part(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> ArrayDecoder:
    table = np.stack([melody(seconds, rate, seed + n) for n in range(channels)], axis=1)
    return ArrayDecoder(table, rate, 1000)


def layout(n: int, *, is_cut: bool = False, n_unheard: int = 0) -> Layout:
    parts = tuple(Part(100 * i, 100 * i + 100) for i in range(n))
    return Layout(parts, is_cut, has_placeholder=False, n_unheard=n_unheard)


def heard(chain: Chain) -> np.ndarray:
    return np.concatenate(list(chain.blocks()))


def unreadable() -> Decoder:
    raise AudioUnreadable("no sound", hint="")


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_damage_and_loss_in_any_part_are_those_of_the_whole(damaged: int) -> None:
    parts = [part(0.2) for _ in range(3)]
    parts[damaged].truncated = True
    parts[damaged].unheard = {"other_tracks": f"track {damaged}"}
    chain = Chain(parts[0], [lambda: parts[1], lambda: parts[2]], layout(3))
    assert len(heard(chain)) == 3 * len(melody(0.2))
    assert chain.truncated
    assert chain.unheard == {"other_tracks": f"track {damaged}"}


def test_a_part_that_cannot_be_decoded_is_counted_with_what_is_behind_the_sound() -> None:
    last = part(0.1)
    for nothing in (unreadable, lambda: None):
        chain = Chain(part(0.1), [nothing, lambda: last], layout(3, n_unheard=7))
        assert len(heard(chain)) == 2 * len(melody(0.1))
        assert chain.unheard == {"unheard_data": "107 bytes behind the sound"}
        assert not chain.truncated
    whole = Chain(part(0.1), [lambda: part(0.1)], layout(2))
    heard(whole)
    assert (whole.unheard, whole.truncated) == ({}, False)


def test_the_last_part_is_cut_if_its_structure_says_so() -> None:
    chain = Chain(part(0.1), [lambda: part(0.1)], layout(2, is_cut=True))
    heard(chain)
    assert chain.truncated


def test_a_part_at_another_rate_is_resampled_to_its_very_end() -> None:
    chain = Chain(part(0.3), [lambda: part(0.5, 44_100, seed=1)], layout(2))
    found = heard(chain)[len(melody(0.3)) :, 0]
    expected = soxr.resample(melody(0.5, 44_100, 1), 44_100, RATE)
    assert (chain.sample_rate_hz, len(found)) == (RATE, len(expected))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_part_of_other_channels_is_their_mean_in_each_channel_of_the_first() -> None:
    chain = Chain(part(0.1, channels=2), [lambda: part(0.1, channels=3)], layout(2))
    found = heard(chain)[len(melody(0.1)) :]
    mean = np.mean([melody(0.1, seed=n) for n in range(3)], axis=0)
    assert found.shape == (len(mean), 2)
    for channel in (0, 1):
        np.testing.assert_allclose(found[:, channel], mean, atol=1e-6)


def test_each_decoder_is_closed_when_the_next_begins_and_the_last_with_the_chain() -> None:
    closed: list[int] = []
    parts = [part(0.1) for _ in range(3)]
    for number, one in enumerate(parts):
        one.close = lambda n=number: closed.append(n)  # type: ignore[method-assign]
    chain = Chain(parts[0], [lambda: parts[1], lambda: parts[2]], layout(3))
    heard(chain)
    assert closed == [0, 1]
    chain.close()
    assert closed == [0, 1, 2]


def test_a_cut_file_is_called_so_whichever_decoder_reads_it() -> None:
    for data in (
        encode(melody(3.0), "WAV"),
        encode(melody(3.0), "AIFF"),
        *(encode(melody(3.0), name) for name in ("FLAC", "RF64", "W64", "NIST", "VOC")),
        encode_ffmpeg(melody(3.0, 44_100), "asf", "wmav2", 44_100),
        encode_ffmpeg(melody(3.0), "wav", "adpcm_ima_wav"),
        encode_ffmpeg(melody(8.0, 48_000), "webm", "libopus", 48_000),
        encode_ffmpeg(melody(8.0, 44_100), "flv", "aac", 44_100),
        encode_ffmpeg(melody(8.0, 48_000), "rm", "ac3", 48_000),
    ):
        assert not decoded(data)[1].truncated
        assert decoded(data[: 2 * len(data) // 3])[1].truncated, data[:12]


def test_the_length_of_pictures_is_not_that_of_the_sound_in_matroska_either() -> None:
    stream = decoded(film("matroska", "pcm_s16le", 1.0, rate=5, n_pictures=25))[1]
    assert (stream.duration_s, stream.truncated) == (1.0, False)


def test_a_recording_of_which_most_packets_are_damaged_is_no_recording() -> None:
    """Each frame of ADTS begins with a header of seven bytes, which is left."""
    data = bytearray(encode_ffmpeg(melody(4.0, 44_100), "adts", "aac", 44_100))
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at += (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    rng = np.random.default_rng(1)

    def spoiled(share: float) -> bytes:
        bad = bytearray(data)
        for number, start in enumerate(starts[2:], start=2):
            end = starts[number + 1] if number + 1 < len(starts) else len(data)
            if number < share * len(starts):
                bad[start + 7 : end] = rng.bytes(end - start - 7)
        return bytes(bad)

    with pytest.raises(AudioUnreadable, match=r"is corrupt: .* packets cannot be decoded"):
        decoded(spoiled(1.0))
    stream = decoded(spoiled(0.1))[1]
    assert stream.truncated
    assert stream.duration_s > 3
