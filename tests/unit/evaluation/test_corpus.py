"""Which recordings a model is fitted on, and which half a speaker is in."""

from __future__ import annotations

from collections import Counter

import pytest

from voiceid.domain import QualityReport, Utterance
from voiceid.errors import FitRefused
from voiceid.evaluation.corpus import Corpus
from voiceid.evaluation.protocol import Recording
from voiceid.evaluation.scoring import Failure

WIDE = QualityReport(5.0, 4.0, 30.0, 0.0, 7000.0, 16_000, -20.0)
NARROW = QualityReport(5.0, 4.0, 30.0, 0.0, 3400.0, 16_000, -20.0, warnings=("narrowband",))


def recordings(counts: dict[str, int], sex: str = "", session: str = "") -> list[Recording]:
    return [
        Recording(f"{name}-{i}.wav", f"{name}-{i}.wav", name, session, "", sex)
        for name, n in counts.items()
        for i in range(n)
    ]


def heard(found: list[Recording], quality: QualityReport = WIDE) -> list[Utterance | Failure]:
    return [Utterance(one.name, one.name, quality, None) for one in found]


def corpus_of(found: list[Recording]) -> Corpus:
    return Corpus.of(found, heard(found), pytest.fail)


def test_the_halves_are_apart_even_and_the_same_whatever_the_order() -> None:
    found = recordings({f"m{i}": 3 for i in range(8)}, "M")
    found += recordings({f"f{i}": 2 for i in range(8)}, "F")
    found += recordings({f"once{i}": 1 for i in range(6)})
    one = corpus_of(found)
    assert not {*one.learned} & {*one.judges}
    for half in (one.learned, one.judges):
        assert Counter(name[0] for name in half) == {"m": 4, "f": 4, "o": 3}
    other = corpus_of(found[::-1])
    assert (set(other.learned), set(other.judges)) == (set(one.learned), set(one.judges))
    assert one.unknown_sex == 6
    assert len(one) == len(found)


def test_five_speakers_with_several_recordings_judge_though_they_are_few() -> None:
    one = corpus_of(recordings({f"a{i}": 2 for i in range(6)} | {f"b{i}": 1 for i in range(6)}))
    assert sum(name[0] == "a" for name in one.judges) == 5
    assert len(one.learned) == len(one.judges) == 6


@pytest.mark.parametrize(("several", "single"), [(4, 20), (9, 0)])
def test_too_few_speakers_are_refused_with_their_numbers(several: int, single: int) -> None:
    counts = {f"a{i}": 2 for i in range(several)} | {f"b{i}": 1 for i in range(single)}
    words = rf"^{several + single} speakers have usable recordings, {several} of them two or more"
    with pytest.raises(FitRefused, match=words):
        corpus_of(recordings(counts))


def test_recordings_of_one_session_are_not_two_that_can_be_compared() -> None:
    with pytest.raises(FitRefused, match="0 of them two or more"):
        corpus_of(recordings({f"a{i}": 3 for i in range(12)}, session="monday"))


def test_what_is_narrowband_comes_twice_or_gave_nothing_is_left_out_and_said() -> None:
    found = recordings({f"a{i}": 2 for i in range(10)})
    extra = [*recordings({"a0": 3})[2:], *recordings({"a1": 4})[2:]]
    more: list[Utterance | Failure] = [
        *heard(extra[:1], NARROW),
        Utterance("copy.wav", found[2].name, WIDE, None),
        Failure(extra[2], "no_speech", "only 0.10 s"),
    ]
    said: list[str] = []
    one = Corpus.of([*found, *extra], [*heard(found), *more], said.append)
    assert len(one) == 20
    assert [text.split(":")[0] for text in said] == ["left out a0-2.wav", "left out a1-2.wav"]
    assert "narrowband" in said[0]
    assert "same recording as a1-0.wav" in said[1]


def test_one_recording_of_two_speakers_is_refused() -> None:
    found = recordings({f"a{i}": 2 for i in range(10)})
    sounds = heard(found)
    sounds[-1] = sounds[0]
    with pytest.raises(FitRefused, match=r"a0-0\.wav of a0 and a9-1\.wav of a9 are one recording"):
        Corpus.of(found, sounds, pytest.fail)
