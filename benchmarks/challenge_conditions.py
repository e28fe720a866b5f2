"""Spoken codes of other lengths, over other lines, and where earlier answers are known.

    python -m benchmarks.challenge_conditions [--corpora FOLDER] [--codes N] [--only TABLE]

The speakers, takes and pauses are those of `benchmarks.challenge`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.challenge import (
    COPIES,
    ENROLLED,
    RATE_HZ,
    TAKES,
    WORDS,
    Person,
    counted,
    enrolled,
    fresh,
    heard,
    people,
    reasons_of,
    said,
    sent_over,
)
from benchmarks.corpora import corpora_argument
from benchmarks.tables import markdown
from voiceid import VoiceID
from voiceid.domain import Decision
from voiceid.evaluation.degradations import Clip, is_available
from voiceid.verification.spoken_code import is_code

LENGTHS = (4, 5, 8)
WRONG = 10
"""Other codes that each answer is compared with."""


def length_table(speakers: Sequence[Person], n_codes: int) -> str:
    """Return how many answers pass as codes of other lengths, by matching alone."""
    rng, rows = np.random.default_rng(11), []
    known = {person.name: person.vocabulary(ENROLLED) for person in speakers}
    for length in LENGTHS:
        passed: dict[str, list[bool]] = {"right": [], "wrong": [], "near": []}
        for person in speakers:
            for _ in range(n_codes):
                code = rng.integers(0, 10, length).tolist()
                answer = heard(person.says(code, fresh(rng, length), rng), known[person.name])
                passed["right"].append(is_code(answer.match(code)))
                for _ in range(WRONG):
                    other = rng.integers(0, 10, length).tolist()
                    if other != code:
                        passed["wrong"].append(is_code(answer.match(other)))
                code[int(rng.integers(length))] += int(rng.integers(1, 10))
                passed["near"].append(is_code(answer.match([word % 10 for word in code])))
        counts = [
            counted(sum(kind), len(kind), is_wanted=name == "right")[::2]
            for name, kind in passed.items()
        ]
        rows.append((length, *(text for pair in counts for text in pair)))
    title = "Codes of other lengths (5 rounds), matching alone"
    bound = "bound, %"
    headers = ("words", "right code passes", bound, "other code", bound, "one word is wrong", bound)
    return markdown(title, headers, rows)


def line_table(vid: VoiceID, speakers: Sequence[Person], n_codes: int) -> str:
    """Return what `verify` answers to right codes over lines, in noise and in a room."""
    rng, rows = np.random.default_rng(12), []
    for condition in filter(is_available, COPIES):
        decisions = []
        for person in speakers:
            for _ in range(n_codes):
                made = vid.challenges.new(person.name)
                code = [WORDS.index(word) for word in made.words]
                samples = said((person, person), code, "right code, right voice", rng)
                sent = sent_over(condition, Clip("", person.name, "", samples, RATE_HZ))
                clip = (sent, RATE_HZ)
                plain = vid.verify(person.name, clip)
                decisions.append((vid.verify(person.name, clip, challenge=made.id), plain))
        with_code, without = zip(*decisions, strict=True)
        n = sum(decision.accepted for decision in with_code)
        n_plain = sum(decision.accepted for decision in without)
        counts = counted(n, len(with_code), is_wanted=True)
        rows.append((condition, f"{n_plain} of {len(without)}", *counts, _reasons(with_code)))
    title = "Right codes in the right voice, the whole decision (FMR 0.1 %, 5 rounds)"
    headers = ("on the way", "accepted without a code", "with", "%", "bound, %", "reasons")
    return markdown(title, headers, rows)


def heard_table(vid: VoiceID, speakers: Sequence[Person]) -> str:
    """Return what `verify` answers where what was accepted is known (`replay.check`).

    Each take that is not enrolled is said once, until a word has no other.
    """
    rng = np.random.default_rng(13)
    decisions: dict[str, list[Decision]] = {
        "new answer, each recording of a word used once": [],
        "an earlier answer, whole": [],
        "the code, joined of words of earlier answers": [],
    }
    new, whole, joined = decisions.values()

    def ask(person: Person) -> tuple[list[int], str]:
        made = vid.challenges.new(person.name)
        return [WORDS.index(word) for word in made.words], made.id

    for person in speakers:
        unused = {word: list(range(ENROLLED, TAKES)) for word in range(10)}
        answers, used = [], dict[int, list[int]]()
        while True:
            code, id_ = ask(person)
            if any(code.count(word) > len(unused[word]) for word in code):
                break
            takes = [unused[word].pop() for word in code]
            clip = (person.says(code, takes, rng), RATE_HZ)
            new.append(vid.verify(person.name, clip, challenge=id_))
            if new[-1].accepted:
                answers.append(clip)
                for word, take in zip(code, takes, strict=True):
                    used.setdefault(word, []).append(take)
        for clip in answers:
            _, id_ = ask(person)
            whole.append(vid.verify(person.name, clip, challenge=id_))
            code, id_ = ask(person)
            if set(code) <= set(used):
                takes = [int(rng.choice(used[word])) for word in code]
                again = (person.says(code, takes, rng), RATE_HZ)
                joined.append(vid.verify(person.name, again, challenge=id_))
    rows = [
        (kind, f"{sum(d.accepted for d in all_)} of {len(all_)}", _reasons(all_))
        for kind, all_ in decisions.items()
    ]
    title = "Codes with `replay.check`, what was accepted is known"
    return markdown(title, ("answer", "accepted", "reasons"), rows)


def _reasons(decisions: Sequence[Decision]) -> str:
    return reasons_of(Counter(decision.reason.value for decision in decisions))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument("--codes", type=int, default=16, help="of each speaker and row (16)")
    parser.add_argument("--only", choices=("lengths", "lines", "heard"), help="print one table")
    options = parser.parse_args()
    speakers = people(options.corpora)
    if options.only in {None, "lengths"}:
        print(length_table(speakers, options.codes), flush=True)
    home = Path(__file__).resolve().parents[1]
    for table in ("lines", "heard"):
        if options.only not in {None, table}:
            continue
        settings = {"replay.check": table == "heard"}
        with (
            tempfile.TemporaryDirectory() as folder,
            VoiceID.open(folder, home=home, overrides=settings) as vid,
        ):
            able = list(enrolled(vid, speakers))
            if table == "lines":
                print(line_table(vid, able, options.codes), flush=True)
            else:
                print(heard_table(vid, able), flush=True)


if __name__ == "__main__":
    main()
