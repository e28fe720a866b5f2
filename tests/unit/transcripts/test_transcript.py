"""Transcripts as recognisers write them, with names, in the format in which they came."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talks import talk

from voiceid import Diarization, NamedTranscript, Transcript, TranscriptInvalid
from voiceid.foreign_files import TRANSCRIPT

TALK = talk((0, 4, "alice"), (5, 9, "bob"), (10, 14, "a: b <c> & --> d"))


def named(data: str | bytes, found: Diarization = TALK) -> NamedTranscript:
    return Transcript(data.encode() if isinstance(data, str) else data).named(found)


def of_json(value: Any, found: Diarization = TALK) -> Any:
    return json.loads(named(json.dumps(value), found).data)


# What openai-whisper writes with --word_timestamps True --output_format json.
WHISPER = {
    "text": " One two three. Four five.",
    "segments": [
        {
            "id": 0,
            "seek": 0,
            "start": 3.0,
            "end": 6.4,
            "text": " One two three.",
            "tokens": [50364, 1485, 732, 1045, 13],
            "temperature": 0.0,
            "avg_logprob": -0.21,
            "compression_ratio": 0.9,
            "no_speech_prob": 0.01,
            "words": [
                {"word": " One", "start": 3.0, "end": 3.4, "probability": 0.9},
                {"word": " two", "start": 3.4, "end": 3.9, "probability": 0.99},
                {"word": " three.", "start": 5.2, "end": 6.4, "probability": 0.98},
            ],
        },
        {"id": 1, "seek": 0, "start": 7.0, "end": 8.0, "text": " Four five.", "tokens": []},
    ],
    "language": "en",
}


def test_whisper_is_cut_at_the_times_of_words_and_keeps_all_other_fields() -> None:
    found = of_json(WHISPER)
    assert {k: v for k, v in found.items() if k != "segments"} == {
        k: v for k, v in WHISPER.items() if k != "segments"
    }
    first, second, third = found["segments"]
    assert (first["speaker"], first["text"], first["start"], first["end"]) == (
        "alice",
        " One two",
        3.0,
        3.9,
    )
    assert (second["speaker"], second["text"], second["start"], second["end"]) == (
        "bob",
        " three.",
        5.2,
        6.4,
    )
    assert [w["speaker"] for w in first["words"]] == ["alice", "alice"]
    assert second["words"][0] == WHISPER["segments"][0]["words"][2] | {"speaker": "bob"}
    assert [s["id"] for s in found["segments"]] == [0, 1, 2]
    assert third == WHISPER["segments"][1] | {"id": 2, "speaker": "bob"}


def test_a_part_whose_word_is_after_the_end_of_its_segment_ends_with_the_word() -> None:
    words = [{"word": " now", "start": 3.2, "end": 4}, {"word": " then", "start": 6.5, "end": 7}]
    item = {"start": 3.0, "end": 6.4, "text": " now then", "words": words}
    found = of_json({"segments": [item]})["segments"]
    assert [(part["start"], part["end"]) for part in found] == [(3.0, 4), (6.5, 7)]


def test_whisperx_has_a_voice_at_each_word_and_numbers_have_no_time() -> None:
    words = [
        {"word": "In", "start": 3.1, "end": 3.3, "score": 0.8, "speaker": "SPEAKER_01"},
        {"word": "2016,"},
        {"word": "we", "start": 5.4, "end": 5.6, "score": 0.7},
    ]
    segment = {"start": 3.1, "end": 5.6, "text": "In 2016, we", "words": words}
    found = of_json({"segments": [segment], "word_segments": words})
    assert [(s["speaker"], s["text"]) for s in found["segments"]] == [
        ("alice", "In 2016,"),
        ("bob", "we"),
    ]
    inside = [word for s in found["segments"] for word in s["words"]]
    assert inside == found["word_segments"]
    assert [word["speaker"] for word in inside] == ["alice", "alice", "bob"]


def test_names_that_were_there_are_replaced() -> None:
    segment = {"start": 16, "end": 17, "text": "Hm.", "speaker": "SPEAKER_00"}
    assert "speaker" not in of_json([segment])[0]
    assert of_json([segment | {"start": 1, "end": 2}])[0]["speaker"] == "alice"


def test_words_of_named_tuples_are_arrays() -> None:
    words = [[3.0, 3.9, " One", 0.9], [5.2, 6.4, " two", 0.9]]
    found = of_json([{"id": 1, "start": 3.0, "end": 6.4, "text": " One two", "words": words}])
    assert [(s["id"], s["speaker"], s["words"]) for s in found] == [
        (1, "alice", words[:1]),
        (2, "bob", words[1:]),
    ]


def test_segments_may_stand_one_a_line() -> None:
    lines = ['{"start": 1, "end": 2, "text": "One."}', "", '{"start": 6, "end": 7, "text": "é"}']
    found = named("\n".join(lines) + "\n").data.decode().split("\n")
    assert found == [
        '{"start": 1, "end": 2, "text": "One.", "speaker": "alice"}',
        '{"start": 6, "end": 7, "text": "é", "speaker": "bob"}',
        "",
    ]


def test_words_beside_the_segments_cut_them() -> None:
    words = [
        {"word": "Yes", "start": 3.0, "end": 3.5},
        {"word": "he", "start": 5.1, "end": 5.3},
        {"word": "did", "start": 5.3, "end": 5.8},
    ]
    segments = [{"id": 0, "start": 3.0, "end": 6.0, "text": " Yes, he did.", "tokens": [1, 2]}]
    found = of_json({"task": "transcribe", "words": words, "segments": segments})
    assert [(s["speaker"], s["text"]) for s in found["segments"]] == [
        ("alice", " Yes,"),
        ("bob", " he did."),
    ]
    assert [word["speaker"] for word in found["words"]] == ["alice", "bob", "bob"]


def test_whisper_cpp_has_milliseconds_and_tokens() -> None:
    def times(start_ms: int, end_ms: int) -> dict[str, Any]:
        clock = [f"00:00:{ms // 1000:02},{ms % 1000:03}" for ms in (start_ms, end_ms)]
        return {
            "timestamps": {"from": clock[0], "to": clock[1]},
            "offsets": {"from": start_ms, "to": end_ms},
        }

    tokens = [
        {"text": "[_BEG_]", **times(3000, 3000), "id": 50363, "p": 0.9, "t_dtw": -1},
        {"text": " Hel", **times(3000, 3300), "id": 1, "p": 0.9, "t_dtw": -1},
        {"text": "lo", **times(3300, 3900), "id": 2, "p": 0.9, "t_dtw": -1},
        {"text": " there", **times(5100, 6000), "id": 3, "p": 0.9, "t_dtw": -1},
        {"text": ".", **times(6000, 6400), "id": 4, "p": 0.9, "t_dtw": -1},
    ]
    item = {**times(3000, 6400), "text": " Hello there.", "tokens": tokens, "speaker": "0"}
    found = of_json({"result": {"language": "en"}, "transcription": [item]})
    first, second = found["transcription"]
    assert (first["speaker"], first["text"], len(first["tokens"])) == ("alice", " Hello", 3)
    assert (second["speaker"], second["text"], len(second["tokens"])) == ("bob", " there.", 2)
    assert first["timestamps"] == {"from": "00:00:03,000", "to": "00:00:03,900"}
    assert second["offsets"] == {"from": 5100, "to": 6400}


def test_chunks_of_transformers_may_not_end() -> None:
    found = of_json({"text": "", "chunks": [{"timestamp": [6.0, None], "text": " Bye."}]})
    assert found["chunks"] == [{"timestamp": [6.0, None], "text": " Bye.", "speaker": "bob"}]


SRT = """1
00:00:01,000 --> 00:00:03,000
Hello <i>there</i>.

2
00:00:03,000 --> 00:00:08,000 X1:40 X2:600
He said it twice. I did
not --> believe it.

3
00:00:11,000 --> 00:00:12,000
Well.
"""


def test_a_subtitle_begins_with_the_name_and_is_cut_where_it_changes() -> None:
    found = named(SRT)
    assert (
        found.data.decode()
        == """1
00:00:01,000 --> 00:00:03,000
alice: Hello <i>there</i>.

2
00:00:03,000 --> 00:00:08,000 X1:40 X2:600
bob: He said it twice. I did
not --> believe it.

3
00:00:11,000 --> 00:00:12,000
a: b <c> & -> d: Well.
"""
    )
    assert found.unused == ("line 8 has an arrow but no times: it was taken for text",)
    cut = named(SRT, talk((0, 5, "alice"), (5, 9, "bob"))).data.decode()
    assert "2\n00:00:03,000 --> 00:00:05,059 X1:40 X2:600\nalice: He said it twice.\n\n3\n" in cut
    assert "bob: I did\nnot --> believe it.\n\n4\n" in cut


VTT = """WEBVTT - talk

STYLE
::cue(v) { color: red }

NOTE written by hand

intro
00:01.000 --> 00:03.000 align:start
<v Somebody>Hello &amp; <i>welcome</i></v>

00:03.000 --> 00:00:08.000
<i>He said it twice. <b>I did
not</b> believe it.</i>

00:11.000 --> 00:12.000
Well.
"""


def test_webvtt_has_voice_tags_and_keeps_notes_styles_and_settings() -> None:
    found = named(VTT, talk((0, 5, "alice"), (5, 9, "bob"), (10, 14, "a: b <c> & --> d")))
    assert (
        found.data.decode()
        == """WEBVTT - talk

STYLE
::cue(v) { color: red }

NOTE written by hand

intro
00:01.000 --> 00:03.000 align:start
<v alice>Hello &amp; <i>welcome</i>

00:00:03.000 --> 00:00:05.258
<v alice><i>He said it twice.</i>

00:00:05.258 --> 00:00:08.000
<v bob><i><b>I did
not</b> believe it.</i>

00:11.000 --> 00:12.000
<v a: b &lt;c&gt; &amp; --&gt; d>Well.
"""
    )
    assert [(line.voice, line.text) for line in found.lines][:2] == [
        ("alice", "Hello & welcome"),
        ("alice", "He said it twice."),
    ]


def test_captions_that_are_shown_word_by_word_are_cut_at_their_times() -> None:
    text = (
        "WEBVTT\n\n00:00:03.000 --> 00:00:06.000 align:start\n"
        "so<00:00:03.600><c> we</c><00:00:05.200><c> begin</c>\n"
    )
    lines = named(text).lines
    assert [(line.voice, line.text) for line in lines] == [("alice", "so we"), ("bob", "begin")]


@pytest.mark.parametrize("text", [SRT, VTT, json.dumps(WHISPER), json.dumps(WHISPER, indent=2)])
def test_a_second_run_changes_nothing(text: str) -> None:
    once = named(text)
    again = named(once.data)
    assert again.data == once.data
    assert again.lines == once.lines


@pytest.mark.parametrize("text", [SRT, VTT, json.dumps(WHISPER), json.dumps(WHISPER, indent="\t")])
def test_without_voices_a_file_stays_as_it_is(text: str) -> None:
    found = named(text.replace("<v Somebody>", "").replace("</v>", ""), talk())
    assert found.data.decode() == text.replace("<v Somebody>", "").replace("</v>", "")
    n = sum(bool(line.text) for line in found.lines)
    assert f"{n} of {n} segments are where no voice was heard, and have no name" in found.unused


def test_of_names_that_were_there_one_is_taken_out() -> None:
    text = "1\n00:00:01,000 --> 00:00:03,000\nalice: bob: he said\n"
    assert named(text).data.decode() == text
    other = text.replace("alice: ", "[SPEAKER_01]: ").replace("bob", "Bob")
    assert named(other).data.decode() == text.replace("bob", "Bob")


def test_marks_and_line_ends_stay() -> None:
    found = named(b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode())
    assert found.data.startswith(b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:03,000\r\nalice: Hello")
    assert found.data.count(b"\n") == found.data.count(b"\r\n")
    wide = named(SRT.encode("utf-16"))
    assert wide.data.decode() == named(SRT).data.decode()
    assert "it is UTF-16, and was written in UTF-8" in wide.unused


def test_bytes_that_are_no_utf8_stay_and_are_spoken_of() -> None:
    found = named("1\n00:00:01,000 --> 00:00:03,000\nCafé\n".encode("cp1252"))
    assert found.data == b"1\n00:00:01,000 --> 00:00:03,000\nalice: Caf\xe9\n"
    assert found.lines[0].text == "Caf\ufffd"
    assert "it is not UTF-8" in found.unused[0]
    half = named(b'{"segments": [{"start": 1, "end": 2, "text": "\\ud83d"}]}')
    assert json.loads(half.data)["segments"][0]["text"] == "\ud83d"


def test_what_cannot_be_named_is_said() -> None:
    segments = [
        {"start": 1, "end": 2, "text": "a"},
        {"start": math.nan, "end": 2, "text": "b"},
        {"start": 3, "end": 2, "text": "c"},
        {"start": 10**400, "end": "2", "text": "c"},
        {"start": 16, "end": 17, "text": "d"},
        {"start": 30, "end": 31, "text": "e"},
        {"start": 30, "end": 31, "text": " "},
        "f",
        {"start": 1, "end": 2},
    ]
    found = named(json.dumps(segments))
    assert found.unused == (
        "2 of 9 segments have no text, or are not objects",
        "3 of 7 segments have no times that can be used, and have no name",
        "1 of 7 segments begin after the recording ends, at 20.0 s, and have no name",
        "1 of 7 segments are where no voice was heard, and have no name",
    )
    assert [s for s in json.loads(found.data) if "speaker" in s] == [
        segments[0] | {"speaker": "alice"}  # type: ignore[operator]
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"Hello.", "no line of times"),
        (b"\x00\x01\x02", "no line of times"),
        (b"{", "not JSON"),
        (b'{"a": 1}', "no list of segments"),
        (b'{"segments": 1}', "no list of segments"),
        (b"[1, 2]", "no list of segments"),
        (b'{"a": 1}\n{"a"}', "one JSON object a line"),
        (b'{"a": 1}\n{"b": 1}', "no list of segments"),
        (b'[[0, 0, 1.0, 2.0, " text"]]', "no list of segments"),
        (b"[" * 100_000, "not JSON"),
        (b"[" + b"9" * 5000 + b"]", "not JSON"),
        (b"\xff\xfe1", "no line of times"),
    ],
)
def test_what_is_no_transcript_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(TranscriptInvalid, match=why):
        Transcript(data)


def test_files_that_cannot_be_read_are_refused(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "missing.srt"):
        with pytest.raises(TranscriptInvalid, match="cannot be read"):
            Transcript.read(path)
    large = tmp_path / "large.srt"
    with large.open("wb") as file:
        file.truncate(TRANSCRIPT.size + 1)
    with pytest.raises(TranscriptInvalid, match="cut it"):
        Transcript.read(large)


def test_a_file_without_segments_stays_as_it_is() -> None:
    for text in ("WEBVTT\n", '{"segments": [], "language": "en"}', "[]"):
        assert named(text).data.decode() == text
        assert named(text).lines == ()


@pytest.mark.parametrize("text", [" " * 200_000 + "x", "." * 200_000 + "x", "<b>x " * 20_000])
def test_lines_without_end_take_little_time(text: str) -> None:
    talks = [(at, at + 1.0, f"v{at % 7}") for at in range(1000)]
    started = time.process_time()
    cue = f"WEBVTT\n\n00:00:00.000 --> 00:17:00.000\n{text}\n"
    found = named(cue, talk(*talks, duration_s=1020.0))
    named(cue.replace("WEBVTT\n\n", ""))
    assert time.process_time() - started < 5
    assert len(found.data) < 10 * len(cue) + 10_000_000


lines_of_files = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "",
                "1",
                "12",
                "00:00:01,000 --> 00:00:06,000",
                "00:03.000 --> 00:01.000 align:end",
                "99999:00:00.000 --> 999999999:00:00.000",
                "-->",
                "NOTE x",
                "<i>a</b> <b>c d e f g. h",
                "{\\an8}up there",
                "<v Bob>said",
                "alice: hello",
            ]
        ),
        st.text(max_size=12),
    ),
    max_size=14,
)


@given(lines=lines_of_files, head=st.sampled_from(["", "WEBVTT\n\n"]))
def test_subtitles_of_any_lines_keep_their_words(lines: list[str], head: str) -> None:
    data = (head + "\n".join(lines)).encode("utf-8", "surrogatepass")
    try:
        found = named(data)
    except TranscriptInvalid:
        return
    again = Transcript(found.data).named(TALK)
    assert words_of(again) == words_of(found)


def words_of(found: NamedTranscript) -> list[str]:
    return [word for line in found.lines for word in line.text.split()]


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["start", " word", "a b c"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "segments",
                    "text",
                    "start",
                    "end",
                    "words",
                    "word",
                    "offsets",
                    "from",
                    "to",
                    "timestamp",
                    "tokens",
                    "id",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)


@given(value=values)
def test_json_of_any_values_is_written_or_refused(value: Any) -> None:
    try:
        found = named(json.dumps(value))
    except TranscriptInvalid:
        return
    json.loads(found.data)
