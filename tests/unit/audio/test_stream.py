"""Channel, hash, clipping, limits and resampling do not depend on the size of blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import RATE, decoded, encode, melody

from voiceid.audio import AudioOptions, Tape, open_audio
from voiceid.errors import AudioInvalid, AudioTooLong, ConfigError

RATES = [1000, 8000, 11025, 16000, 22050, 44100, 44101, 48000, 96000, 768000]


@pytest.mark.parametrize("rate", RATES)
def test_resampling_equals_soxr_in_one_piece(rate: int) -> None:
    samples = melody(0.5, rate)
    heard, stream = decoded((samples, rate), block_values=997)
    oracle = soxr.resample(samples, rate, RATE, quality="HQ") if rate != RATE else samples
    assert abs(len(heard) - round(len(samples) * RATE / rate)) <= 1
    assert np.array_equal(heard, oracle)
    assert stream.sample_rate_hz == rate


@settings(deadline=None, max_examples=40)
@given(
    block=st.integers(1, 5000),
    rate=st.sampled_from([8000, 16000, 44100]),
    channels=st.integers(1, 3),
    loud=st.floats(0.5, 4.0),
)
def test_nothing_depends_on_the_size_of_blocks(
    block: int, rate: int, channels: int, loud: float
) -> None:
    one = np.clip(melody(0.2, rate) * loud * 2, -1, 1)
    samples = np.stack([one * (i + 1) / channels for i in range(channels)], axis=1)
    whole, whole_stream = decoded((samples, rate), block_values=1 << 20)
    heard, stream = decoded((samples, rate), block_values=block)
    assert np.array_equal(heard, whole)
    assert stream.pcm_sha256 == whole_stream.pcm_sha256
    assert stream.clipping == whole_stream.clipping
    assert stream.duration_s == whole_stream.duration_s


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "MP3", "OGG"])
def test_files_do_not_depend_on_the_size_of_blocks(file_format: str) -> None:
    data = encode(np.stack([melody(), melody(seed=1)], axis=1), file_format)
    streams = [decoded(data, block_values=n)[1] for n in (500, 4096, 1 << 20)]
    assert len({stream.pcm_sha256 for stream in streams}) == 1


def test_channels_are_chosen_by_name_and_number() -> None:
    table = np.stack([melody(), melody(seed=1), melody(seed=2)], axis=1)

    def heard(channel: str | int) -> np.ndarray:
        return decoded((table, RATE), AudioOptions(channel=channel))[0]

    assert np.array_equal(heard("left"), table[:, 0])
    assert np.array_equal(heard("right"), table[:, 1])
    assert np.array_equal(heard(2), table[:, 2])
    assert np.allclose(heard("mix"), table.mean(axis=1), atol=1e-7)


def test_a_channel_that_is_not_there_is_invalid_and_the_number_of_channels_is_said() -> None:
    with pytest.raises(AudioInvalid, match="has 1 channel, so there is no channel right"):
        decoded(encode(melody(), "WAV"), AudioOptions(channel="right"))
    with pytest.raises(AudioInvalid, match="has 2 channels, so there is no channel 2"):
        decoded((np.zeros((100, 2)), RATE), AudioOptions(channel=2))
    with pytest.raises(ConfigError, match="middle"):
        decoded((np.zeros(100), RATE), AudioOptions(channel="middle"))


def test_the_hash_is_of_the_sound_and_not_of_the_file() -> None:
    pcm = np.round(melody() * 32767).astype(np.int16)
    mono = (pcm / 32768).astype(np.float32)
    base = decoded((mono, RATE))[1].pcm_sha256
    assert decoded((pcm, RATE))[1].pcm_sha256 == base
    assert decoded((np.stack([mono, mono], axis=1), RATE))[1].pcm_sha256 == base
    assert decoded((mono.astype(np.float64), RATE))[1].pcm_sha256 == base
    assert decoded(encode(mono, "FLAC"))[1].pcm_sha256 == base
    assert decoded((mono[:-1], RATE))[1].pcm_sha256 != base
    assert decoded((mono, 16001))[1].pcm_sha256 != base


def test_minus_zero_is_the_sound_of_zero() -> None:
    one, other = np.zeros(10, np.float32), np.full(10, -0.0, np.float32)
    assert decoded((one, RATE))[1].pcm_sha256 == decoded((other, RATE))[1].pcm_sha256


def test_clipping_is_counted_before_channels_are_mixed() -> None:
    flat = np.concatenate([np.zeros(50), np.ones(50)]).astype(np.float32)
    table = np.stack([flat, np.zeros(100, np.float32)], axis=1)
    assert decoded((table, RATE))[1].clipping.fraction == 0.25
    assert decoded((table, RATE), AudioOptions(channel="left"))[1].clipping.fraction == 0.5


def test_too_long_is_known_from_the_header_or_on_the_way() -> None:
    with pytest.raises(AudioTooLong, match="limit of 1 s"):
        decoded(encode(melody(1.2), "WAV"), AudioOptions(max_duration_s=1))
    endless = bytearray(encode(melody(1.2), "WAV"))
    at = endless.index(b"data")
    endless[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    with pytest.raises(AudioTooLong):
        decoded(bytes(endless), AudioOptions(max_duration_s=1), block_values=1000)
    assert len(decoded((np.zeros(RATE), RATE), AudioOptions(max_duration_s=1))[0]) == RATE


def test_many_channels_count_as_much_as_their_samples() -> None:
    table = np.zeros((RATE, 16), np.float32)
    options = AudioOptions(max_duration_s=1)  # 384,000 samples in all channels
    assert len(decoded((table, RATE), options)[0]) == RATE
    with pytest.raises(AudioTooLong, match="384,000 samples in its 25 channels"):
        decoded((np.zeros((RATE, 25), np.float32), RATE), options)


def test_results_are_not_given_before_the_end() -> None:
    with open_audio((np.zeros(RATE), RATE)) as stream:
        for what in ("pcm_sha256", "duration_s", "clipping", "truncated"):
            with pytest.raises(RuntimeError, match="not read to its end"):
                getattr(stream, what)


def test_channels_that_cancel_are_known_when_they_were_mixed() -> None:
    one = melody()
    other = 0.2 * np.random.default_rng(0).standard_normal(len(one)).astype(np.float32)
    hum = 0.1 * np.sin(np.arange(len(one)) / 25).astype(np.float32)

    def cancel(*channels: np.ndarray) -> bool:
        mixed = decoded((np.stack(channels, axis=1), RATE))[1].mixed
        assert mixed is not None
        return mixed.cancel

    assert cancel(one, -one)
    assert cancel(one, -0.7 * one)
    assert cancel(one + 0.2 * hum, -one + 0.2 * hum)
    assert cancel(one, -one, other, -other)
    assert not cancel(one, one)
    assert not cancel(one, other)
    assert not cancel(one, np.zeros_like(one))
    assert not cancel(*[np.zeros_like(one)] * 2)
    assert decoded((one, RATE))[1].mixed is None
    two = np.stack([one, -one], axis=1)
    assert decoded((two, RATE), AudioOptions(channel=1))[1].mixed is None


def test_a_channel_is_distinct_when_it_is_neither_silent_nor_that_of_a_louder_one() -> None:
    one = melody()
    other = 0.2 * np.random.default_rng(0).standard_normal(len(one)).astype(np.float32)

    def distinct(*channels: np.ndarray) -> list[int]:
        mixed = decoded((np.stack(channels, axis=1), RATE))[1].mixed
        assert mixed is not None
        return mixed.distinct()

    assert distinct(one, 0.5 * one) == [0]
    assert distinct(0.5 * one, -one + 0.1 * other) == [1]
    assert distinct(0.5 * one, other) == [1, 0]
    assert distinct(one, 0.005 * other) == [0]
    assert distinct(np.zeros_like(one), one) == [1]
    noise = np.random.default_rng(0).standard_normal((20, len(one))).astype(np.float32)
    assert len(distinct(*noise)) == 8


def test_a_recording_is_heard_again_in_one_channel(tmp_path: Path) -> None:
    table = np.stack([melody(), melody(seed=1)], axis=1)
    path = tmp_path / "a.flac"
    path.write_bytes(encode(table, "FLAC"))
    for source in ((table, RATE), path, encode(table, "FLAC")):
        tape = Tape()
        with open_audio(source, tap=tape) as stream:
            sum(len(block) for block in stream.blocks())
            with stream.again(1, {"opposite_phase": "the mix"}) as alone:
                heard = np.concatenate(list(alone.blocks()))
                assert alone.unheard == {"opposite_phase": "the mix"}
            assert len(heard) == len(table)
            assert alone.pcm_sha256 == decoded(source, AudioOptions(channel=1))[1].pcm_sha256
            with stream.again(0) as alone:
                assert len(list(alone.blocks())) > 0
        tape.seal(alone.pcm_sha256, RATE)
        (tmp_path / "kept.flac").write_bytes(tape.content())
        kept, _ = soundfile.read(tmp_path / "kept.flac", dtype="float32")
        assert np.allclose(kept, heard, atol=1e-6)  # the second hearing alone


@settings(deadline=None, max_examples=40)
@given(
    block=st.integers(1, 5000),
    rate=st.sampled_from([8000, 16000, 44100]),
    ends=st.lists(st.integers(0, 90), min_size=2, max_size=6, unique=True),
)
def test_only_the_spans_are_heard_and_hashed_as_if_they_were_cut_out_before(
    block: int, rate: int, ends: list[int]
) -> None:
    samples = melody(0.8, rate)
    edges = [end / 100 for end in sorted(ends)]
    spans = tuple(zip(edges[::2], edges[1::2], strict=False))
    pieces = [samples[round(start * rate) : round(end * rate)] for start, end in spans]
    options, wanted = AudioOptions(spans=spans), np.concatenate(pieces)
    if not len(wanted):
        with pytest.raises(AudioInvalid, match=r"0\.80 s long"):
            decoded((samples, rate), options=options, block_values=block)
        return
    heard, stream = decoded((samples, rate), options=options, block_values=block)
    alone, cut = decoded((wanted, rate))
    assert np.array_equal(heard, alone)
    assert stream.pcm_sha256 == cut.pcm_sha256
    assert stream.duration_s == pytest.approx(len(wanted) / rate)
