"""Spoken codes: right codes, wrong ones, other voices, and codes that are put together.

    python -m benchmarks.challenge [--corpora FOLDER] [--codes N]

Words are the digits of six speakers of the Free Spoken Digit Dataset (8 kHz, 13 takes of each):
takes 0 to 4 are enrolled, 5 to 12 make answers, so that no answer has a recording that was
enrolled, unless the table says so.  Digits of the corpus are cut out one by one; they are joined
with pauses of noise as loud as the quietest 20 ms: of 100 to 400 ms in answers, and of 300 to 700
ms in the rounds, which are said word by word.  No speaker of it says a code
in one breath, and it does not say which takes are of which session.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpora import corpora_argument, test_other
from benchmarks.tables import markdown
from voiceid import VoiceID
from voiceid.audio.coding import resampled
from voiceid.decision.word_matching import Heard, Match, Vocabulary
from voiceid.domain import Decision, Float32Array
from voiceid.enrollment.rounds import vocabulary_of
from voiceid.errors import ChangeRefused, VoiceIDError
from voiceid.evaluation.degradations import CONDITIONS, Clip, is_available
from voiceid.metrics.rates import rate_upper_bound
from voiceid.speech.word_features import word_features
from voiceid.verification.spoken_code import is_code, is_copy

WORDS = tuple("0123456789")
ENROLLED, TAKES = 5, 13
LENGTH = 6
WRONG = 26
"""Other codes that each answer is held against."""
RATE_HZ = 16_000
COPIES = (
    *("clean", "mu-law 64 kbit/s", "GSM 13 kbit/s", "AMR 4.75 kbit/s", "opus 6 kbit/s"),
    *("noise 20 dB", "noise 10 dB", "room 0.3 s"),
)


@dataclass(frozen=True)
class Person:
    """The digits of one speaker, at 16 kHz, by word and take."""

    name: str
    takes: Mapping[tuple[int, int], Float32Array]

    @cached_property
    def hiss(self) -> float:
        """The RMS of the quietest 20 ms."""
        frames = (x[: len(x) // 320 * 320].reshape(-1, 320) for x in self.takes.values())
        return max(1e-4, min(float(np.sqrt((f**2).mean(1)).min()) for f in frames))

    def says(
        self,
        words: Sequence[int],
        takes: Sequence[int],
        rng: np.random.Generator,
        pauses_s: tuple[float, float] = (0.1, 0.4),
    ) -> Float32Array:
        """Return (n,) samples of some words, with pauses around them."""
        parts = [self._pause(rng, pauses_s)]
        for word, take in zip(words, takes, strict=True):
            parts += [self.takes[word, take], self._pause(rng, pauses_s)]
        return np.concatenate(parts)

    def _pause(self, rng: np.random.Generator, pauses_s: tuple[float, float]) -> Float32Array:
        n = round(rng.uniform(*pauses_s) * RATE_HZ)
        return (self.hiss * rng.standard_normal(n)).astype(np.float32)

    def rounds(self, n: int) -> list[Float32Array]:
        """Return rounds of all words, one of each take that is enrolled."""
        rng = np.random.default_rng(0)
        return [self.says(range(10), [take] * 10, rng, (0.3, 0.7)) for take in range(n)]

    def vocabulary(self, n: int) -> Vocabulary:
        """Return what enrolling so many rounds keeps."""
        heard = [word_features(one) for one in self.rounds(n)]
        return vocabulary_of(WORDS, heard, [f"round {i}" for i in range(n)])


def people(folder: Path) -> list[Person]:
    """Return the speakers."""
    found: dict[str, dict[tuple[int, int], Float32Array]] = {}
    for path in sorted((folder / "fsdd").glob("*.wav")):
        word, name, take = path.stem.split("_")
        samples, rate_hz = soundfile.read(path, dtype="float32")
        found.setdefault(name, {})[int(word), int(take)] = resampled(samples, rate_hz, RATE_HZ)
    return [Person(name, takes) for name, takes in found.items()]


def fresh(rng: np.random.Generator, n: int = LENGTH) -> list[int]:
    """Return takes that are not enrolled."""
    takes: list[int] = rng.integers(ENROLLED, TAKES, n).tolist()
    return takes


def heard(samples: Float32Array, known: Vocabulary) -> Heard:
    """Return an answer, against which codes are held."""
    features = word_features(samples)
    return Heard(features.frames, features.is_speech, known.tokens)


Trials = dict[str, list[tuple[str, Match]]]
"""By kind: who was claimed, and what was found."""


def code_trials(folder: Path, speakers: Sequence[Person], n_codes: int, rounds: int) -> Trials:
    """Return what matching alone makes of answers, with so many rounds enrolled."""
    rng, rng_of_more, trials = np.random.default_rng(1), np.random.default_rng(3), Trials()
    sentences = [resampled(c.samples, c.rate_hz, RATE_HZ) for c in test_other(folder)]
    for at, person in enumerate(speakers):
        try:
            known = person.vocabulary(rounds)
        except ChangeRefused as error:
            print(f"{person.name} is left out: {error}\n")
            continue

        def note(kind: str, found: Match, name: str = person.name) -> None:
            trials.setdefault(kind, []).append((name, found))

        for number in range(n_codes):
            code = rng.integers(0, 10, LENGTH).tolist()
            answer = heard(person.says(code, fresh(rng), rng), known)
            note("right code", answer.match(code))
            for _ in range(WRONG):
                note("wrong code", answer.match(rng.integers(0, 10, LENGTH).tolist()))
            near, place = list(code), int(rng.integers(LENGTH))
            near[place] = (near[place] + int(rng.integers(1, 10))) % 10
            note("one word of six is wrong", answer.match(near))
            note("a word is missing", answer.match([*code, int(rng.integers(10))]))
            said = rng_of_more.integers(0, 10, LENGTH + 1).tolist()
            longer = heard(person.says(said, fresh(rng_of_more, len(said)), rng_of_more), known)
            del said[int(rng_of_more.integers(len(said)))]
            note("a word too many", longer.match(said))
            other = speakers[(at + 1 + number % (len(speakers) - 1)) % len(speakers)]
            theirs = heard(other.says(code, fresh(rng), rng), known)
            note("right code, another voice", theirs.match(code))
            sentence = sentences[int(rng.integers(len(sentences)))][: 5 * RATE_HZ]
            note("a sentence of LibriSpeech", heard(sentence, known).match(code))
    return trials


def held_out(trials: Trials) -> tuple[int, int, int, int]:
    """Return the right codes that are accepted, all, wrong ones that are, and all.

    The limit for each speaker is from the other five: 0.5 above the 97 % of their right codes that
    fit best.
    """
    counts = np.zeros(4, int)
    for name in {name for name, _ in trials["right code"]}:
        others = [found.excess for who, found in trials["right code"] if who != name]
        limit = float(np.quantile(others, 0.97)) + 0.5
        for at, kind in enumerate(("right code", "wrong code")):
            own = [found.excess for who, found in trials[kind] if who == name]
            counts[2 * at] += sum(excess <= limit for excess in own)
            counts[2 * at + 1] += len(own)
    right, n_right, wrong, n_wrong = counts.tolist()
    return right, n_right, wrong, n_wrong


def counted(n: int, of: int, *, is_wanted: bool = False) -> tuple[str, str, str]:
    """Return a count with its share and the bound of the share, at 95 %."""
    bound = f"at most {100 * rate_upper_bound(n, of):.2f}"
    if is_wanted:
        bound = f"at least {100 * (1 - rate_upper_bound(of - n, of)):.2f}"
    return f"{n} of {of}", f"{100 * n / of:.2f}", bound


def code_table(trials: Trials, rounds: int) -> str:
    """Return the table of matching alone."""
    rows = []
    for kind, found in trials.items():
        passed = sum(is_code(one) for _, one in found)
        excess = np.array([one.excess for _, one in found])
        low, mid, high = np.quantile(excess, (0.03, 0.5, 0.97))
        rows.append(
            (
                kind,
                *counted(passed, len(found), is_wanted=kind == "right code"),
                f"{low:.2f}, {mid:.2f}, {high:.2f}",
            )
        )
    right, n_right, wrong, n_wrong = held_out(trials)
    rows.append(
        ("right code, limit of the other five", *counted(right, n_right, is_wanted=True), "")
    )
    rows.append(("wrong code, limit of the other five", *counted(wrong, n_wrong), ""))
    title = f"Matching alone, {rounds} rounds: answers that pass as the code"
    return markdown(title, ("answer", "pass", "%", "bound, % (95 %)", "excess: 3, 50, 97 %"), rows)


def copy_table(speakers: Sequence[Person], n_codes: int) -> str:
    """Return how many codes of pieces of the enrolment are found, and how many new ones."""
    rng, rows = np.random.default_rng(2), []
    known = {person.name: person.vocabulary(ENROLLED) for person in speakers}
    for condition in filter(is_available, COPIES):
        found: dict[str, list[Match]] = {"copied": [], "new": []}
        for person in speakers:
            for _ in range(n_codes):
                code = rng.integers(0, 10, LENGTH).tolist()
                pieces = rng.integers(0, ENROLLED, LENGTH).tolist()
                for kind, takes in (("copied", pieces), ("new", fresh(rng))):
                    clip = Clip("", person.name, "", person.says(code, takes, rng), RATE_HZ)
                    sent = sent_over(condition, clip)
                    found[kind].append(heard(sent, known[person.name]).match(code))
        copied, new = found["copied"], found["new"]
        rows.append(
            (
                condition,
                counted(sum(map(is_copy, copied)), len(copied))[:2],
                counted(sum(map(is_copy, new)), len(new)),
                counted(sum(map(is_code, new)), len(new))[:2],
            )
        )
    headers = ("on the way", "copies found", "%", "new ones called copies", "%", "bound, %")
    flat = [(row[0], *row[1], *row[2], *row[3]) for row in rows]
    return markdown(
        "Codes of pieces of the rounds that were enrolled (5 rounds)",
        (*headers, "new ones that pass as the code", "%"),
        flat,
    )


def sent_over(condition: str, clip: Clip) -> Float32Array:
    """Return the samples that arrive at 16 kHz."""
    from voiceid.audio import AudioOptions, open_audio  # noqa: PLC0415 - for codecs alone

    sent = CONDITIONS[condition](clip)
    with open_audio(sent.source, AudioOptions()) as stream:
        return np.concatenate(list(stream.blocks()))


SAYINGS: Mapping[str, tuple[Sequence[int], str]] = {
    "right code, right voice": ((), "new"),
    "wrong code, right voice": ((), "wrong"),
    "right code, another voice": (range(LENGTH), "new"),
    "second half by another": ((3, 4, 5), "new"),
    "every second word by another": ((1, 3, 5), "new"),
    "one word by another": ((2,), "new"),
    "pieces of the rounds": ((), "copied"),
}
"""By kind: the words that another says, and of which code or takes."""


def said(
    who: tuple[Person, Person], code: Sequence[int], kind: str, rng: np.random.Generator
) -> Float32Array:
    """Return an answer of a kind: what another says of it is as loud."""
    of_other, how = SAYINGS[kind]
    code = rng.integers(0, 10, LENGTH).tolist() if how == "wrong" else code
    takes = rng.integers(0, ENROLLED, LENGTH).tolist() if how == "copied" else fresh(rng)
    words = [
        who[place in of_other].takes[word, take]
        for place, (word, take) in enumerate(zip(code, takes, strict=True))
    ]
    level = float(np.sqrt((words[0] ** 2).mean()))
    levelled = [x * level / max(float(np.sqrt((x**2).mean())), 1e-6) for x in words]
    made = Person(kind, {(i, 0): x for i, x in enumerate(levelled)})
    return made.says(range(LENGTH), [0] * LENGTH, rng)


def enrolled(vid: VoiceID, speakers: Sequence[Person]) -> Iterator[Person]:
    """Enrol the speakers and their words; yield those who can be, and print who cannot."""
    for person in speakers:
        rounds = [(one, RATE_HZ) for one in person.rounds(ENROLLED)]
        try:
            vid.enroll(person.name, rounds, force=True)
            vid.challenges.enroll(person.name, rounds, words=WORDS)
        except VoiceIDError as error:
            print(f"{person.name} is left out: {error}\n")
        else:
            yield person


def reasons_of(decisions: Counter[str]) -> str:
    """Return how often each reason was given."""
    return ", ".join(f"{reason} {count}" for reason, count in decisions.most_common())


def whole_table(vid: VoiceID, speakers: Sequence[Person], n_codes: int) -> str:
    """Return what `verify` answers, with a code and without."""
    rng, rows, times = np.random.default_rng(3), [], []
    for kind in SAYINGS:
        with_code: Counter[str] = Counter()
        n_voice, n = 0, 0
        for at, person in enumerate(speakers):
            for number in range(n_codes):
                made = vid.challenges.new(person.name)
                code = [WORDS.index(word) for word in made.words]
                other = speakers[(at + 1 + number % (len(speakers) - 1)) % len(speakers)]
                clip = (said((person, other), code, kind, rng), RATE_HZ)
                decision, coded_s = timed(lambda: vid.verify(person.name, clip, challenge=made.id))  # noqa: B023
                plain, plain_s = timed(lambda: vid.verify(person.name, clip))  # noqa: B023
                with_code[decision.reason.value] += 1
                n_voice, n = n_voice + plain.accepted, n + 1
                if decision.accepted:
                    times.append((coded_s - plain_s, coded_s))
        passed = counted(with_code["match"], n, is_wanted=kind.startswith("right code, right"))
        rows.append((kind, f"{n_voice} of {n}", *passed, reasons_of(with_code)))
    more, whole = 1e3 * np.median(times, axis=0)
    title = "The whole decision (FMR 0.1 %, 5 rounds)"
    headers = ("answer", "accepted without a code", "with", "%", "bound, %", "reasons")
    took = f"A code takes {more:.0f} ms of a core more, of {whole:.0f} ms in all (median).\n"
    return markdown(title, headers, rows) + "\n" + took


def timed(act: Callable[[], Decision]) -> tuple[Decision, float]:
    """Return an answer, and the seconds of a core that it took."""
    started = time.process_time()
    return act(), time.process_time() - started


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument(
        "--codes",
        type=int,
        default=50,
        help="of each speaker; a third or a quarter in some tables (50)",
    )
    options = parser.parse_args()
    speakers = people(options.corpora)
    for rounds in (ENROLLED, 3):
        n_codes = options.codes if rounds == ENROLLED else options.codes // 3
        print(
            code_table(code_trials(options.corpora, speakers, n_codes, rounds), rounds), flush=True
        )
    print(copy_table(speakers, options.codes // 4), flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        VoiceID.open(folder, home=Path(__file__).resolve().parents[1]) as vid,
    ):
        able = list(enrolled(vid, speakers))
        print(whole_table(vid, able, options.codes // 3))


if __name__ == "__main__":
    main()
