"""Live sound: the speech that an answer needs, the strangers that get in, the delay, the streams.

    python -m benchmarks.live [--corpora FOLDER] [--streams N ...] [--seconds S] [--alternating]
                              [--soak HOURS [--pipe]]

Each utterance of LibriSpeech test-other (ten speakers, ten each) and each clean turn of AMI is
streamed, and looked at as `voiceid listen` does; it is held against every other recording, enrolled
alone.  A comparison is accepted at the first look whose score reaches the threshold of a sequence.
How many looks a sequence counts as (SEQUENCE_LOOKS) was chosen on train-clean-100.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import soak
from benchmarks.corpora import ami_turns, corpora_argument, test_other, train_clean
from benchmarks.tables import markdown
from voiceid import VoiceID
from voiceid.decision.aims import Target
from voiceid.decision.calibration import Conditions
from voiceid.decision.rule import SEQUENCE_LOOKS, DecisionRule, accepted
from voiceid.domain import (
    Condition,
    Decision,
    Embedding,
    Float32Array,
    LiveEvent,
    Speech,
    Utterance,
    telephone_share,
)
from voiceid.errors import NotEnoughSpeech
from voiceid.evaluation.degradations import CONDITIONS, Clip
from voiceid.listening import EarlyListener, LiveOptions, looks
from voiceid.speech.embedder import Embedder

ROOT = Path(__file__).resolve().parents[1]
RATES = (0.01, 0.001)
ENROLLED = 3
"""Utterances of each speaker, where it is about time."""
TALK_S = 8.0
EVERY_S = (1.0, 1.5, 2.0)
SILENCE_S = 3.0
"""An utterance that is read has pauses; here it is one turn."""


@dataclass(frozen=True, slots=True)
class Look:
    """The sound of a turn so far."""

    net_speech_s: float
    snr_db: float | None
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Streamed:
    """A clip that was streamed, and the same clip as it is enrolled."""

    clip: Clip
    looks: Sequence[Look]
    enrolled: Utterance


@dataclass
class _Looking:
    """Keeps what each look at a turn heard; nothing is decided."""

    hears: Embedder
    looks: list[Look] = field(default_factory=list)

    def embedder(self) -> Embedder:
        return self.hears

    def decide(self, heard: Utterance, *, in_sequence: bool, is_last: bool) -> Decision | None:
        del in_sequence
        if heard.embedding is not None:
            quality = heard.quality
            self.looks.append(Look(quality.net_speech_s, quality.snr_db, heard.embedding))
        if is_last:
            raise NotEnoughSpeech("nothing is decided here")
        return None

    def alone(self, decision: Decision, turn: Utterance) -> Decision:
        del turn
        return decision

    def record(self, decision: Decision, heard: Utterance) -> Decision:
        del heard
        return decision

    def keep(self, decision: Decision, speech: Callable[[], Speech]) -> None:
        del decision, speech


def stream(embedder: Embedder, clip: Clip) -> Streamed | None:
    """Return the looks at a clip's first turn; None: there is too little speech in it."""
    looking, options = _Looking(embedder), LiveOptions(silence_s=SILENCE_S)
    samples, rate_hz = embedder.samples(clip.source, 3600.0), 16_000
    listener = EarlyListener(looking, options)
    events = listener.feed(samples, rate_hz) + listener.finish()
    enrolled = embedder.utterance((samples, rate_hz))
    ends = [event.at_s for event in events if event.kind.value == "turn"]
    if enrolled.embedding is None or not looking.looks or len(ends) != 1:
        return None
    return Streamed(clip, looking.looks, enrolled)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Net speech at the first look that was accepted, and whether the last look would be."""

    genuine: bool
    first_s: float | None
    at_end: bool
    whole_s: float


def compared(rule: DecisionRule, streamed: Sequence[Streamed]) -> Iterator[Accepted]:
    """Yield what becomes of each clip against every other recording."""
    alone = replace(rule, in_sequence=False)
    for one in streamed:
        for other in streamed:
            if one.clip.recording == other.clip.recording:
                continue
            enrolled = other.enrolled
            passed = [passes(rule, look, enrolled) for look in one.looks]
            first = next((look for look, ok in zip(one.looks, passed, strict=True) if ok), None)
            yield Accepted(
                one.clip.speaker == other.clip.speaker,
                None if first is None else first.net_speech_s,
                passes(alone, one.looks[-1], enrolled),
                one.looks[-1].net_speech_s,
            )


def passes(rule: DecisionRule, look: Look, enrolled: Utterance) -> bool:
    """Whether a look is accepted as the speaker of an enrolled clip."""
    embedding = enrolled.embedding
    if embedding is None:
        return False
    share = telephone_share([look.embedding.telephone, embedding.telephone])
    speech_s = enrolled.quality.net_speech_s
    condition = Condition(look.net_speech_s, look.snr_db, speech_s, 1, telephone=share)
    [threshold] = rule.thresholds(Conditions.of(condition))
    score = float(look.embedding.vector @ embedding.vector)
    return bool(accepted(score, threshold))


def rows(name: str, rule: DecisionRule, streamed: Sequence[Streamed]) -> Iterator[list[str]]:
    """Yield a line of the table for each rate."""
    for rate in RATES:
        aimed = replace(rule.aimed(Target(rate)), in_sequence=True)
        found = list(compared(aimed, streamed))
        right = [one for one in found if one.genuine]
        wrong = [one for one in found if not one.genuine]
        let_in = sum(one.first_s is not None for one in wrong)
        firsts = [one.first_s for one in right if one.first_s is not None]
        yield [
            name,
            f"{100 * rate:g} %",
            f"{let_in} of {len(wrong)}",
            f"{sum(one.at_end for one in wrong)}",
            f"{len(firsts)} of {len(right)}",
            f"{sum(one.at_end for one in right)}",
            f"{np.median(firsts):.2f} s" if firsts else "-",
            f"{np.median([one.whole_s for one in right]):.2f} s" if right else "-",
        ]


HEADINGS = [
    "streamed",
    "target FMR",
    "strangers accepted",
    "at the end alone",
    "right people accepted",
    "at the end alone ",
    "net speech at that",
    "of the whole turn",
]


def alternation(
    one: Float32Array, other: Float32Array, every_s: float, rng: np.random.Generator
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Return two who alternate, each part up to 30 % longer or shorter, and where the other is."""
    sources, at = (one, other), [0, 0]
    parts, is_other = list[Float32Array](), list[npt.NDArray[np.bool_]]()
    while sum(map(len, parts)) < TALK_S * 16_000:
        who = len(parts) % 2
        length = round(every_s * rng.uniform(0.7, 1.3) * 16_000)
        parts.append(sources[who][at[who] : at[who] + length])
        is_other.append(np.full(len(parts[-1]), who == 1))
        at[who] += length
    return np.concatenate(parts), np.concatenate(is_other)


def ends(vid: VoiceID, speaker: str, samples: Float32Array) -> tuple[list[LiveEvent], int]:
    """Return the turns that were accepted as the speaker within them, and how many were in all."""
    listener = vid.listen(speaker=speaker, silence_s=SILENCE_S)
    events = listener.feed(samples, 16_000) + listener.finish()
    accepted_turns = {
        event.turn
        for event in events
        if event.kind.value == "decision" and event.decision is not None and event.decision.accepted
    }
    turns = [event for event in events if event.kind.value == "turn"]
    return [event for event in turns if event.turn in accepted_turns], len(turns)


def inside_s(where: npt.NDArray[np.bool_], turn: LiveEvent) -> float:
    """Return how many seconds of the samples that are marked are in a turn."""
    start, end = (round((at_s or 0.0) * 16_000) for at_s in (turn.start_s, turn.end_s))
    return float(where[start:end].sum()) / 16_000


def alternating_table(vid: VoiceID, clips: Sequence[Clip]) -> str:
    """Return what becomes of turns in which two alternate without a pause, and of one person's."""
    model = vid._session.loaded_model  # noqa: SLF001 - the speech of utterances is joined
    by_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    speech: dict[str, Float32Array] = {}
    for speaker, own in by_speaker.items():
        vid.enroll(speaker, [clip.source for clip in own[:ENROLLED]])
        parts = [model.embedder.speech(clip.source) for clip in own[ENROLLED:]]
        speech[speaker] = np.concatenate(parts)
    rng, counts = np.random.default_rng(0), dict[str, list[float]]()

    def count(what: str, speaker: str, samples: Float32Array, other: np.ndarray | None) -> None:
        found, row = ends(vid, speaker, samples)[0], counts.setdefault(what, [0] * 5)
        row[0] += 1
        row[1] += bool(found)
        kept = [event for event in found if event.decision is not None and event.decision.accepted]
        row[2] += len(kept) < len(found)
        if other is not None:
            row[3] += sum(inside_s(other, event) for event in found)
            row[4] += sum(inside_s(other, event) for event in kept)

    for number, (one, other) in enumerate(itertools.permutations(by_speaker, 2)):
        same = by_speaker[one][0].sex == by_speaker[other][0].sex
        if same or number % 3 == 0:
            every_s, shift = EVERY_S[number // 3 % 3], number * 8_000
            first, second = (np.roll(speech[speaker], -shift) for speaker in (one, other))
            talk = alternation(first, second, every_s, rng)
            count(f"two of {'one sex' if same else 'both sexes'}, every {every_s:g} s", one, *talk)
    names = [name for name in CONDITIONS if name != "clean"]
    alone = [clip for own in by_speaker.values() for clip in own[ENROLLED:]]
    for number, clip in enumerate(alone):
        name = "clean" if number % 2 else names[number // 2 % len(names)]
        heard = CONDITIONS[name](clip)
        what = f"one person, {'clean' if name == 'clean' else 'degraded'}"
        count(what, clip.speaker, model.embedder.samples(heard.source, 3600.0), None)
    rows = [
        [what, *map(str, row[:3]), *(f"{s:.1f} s" for s in row[3:])] for what, row in counts.items()
    ]
    headings = ["in the turn", "talks", "accepted", "taken back at the end of the turn"]
    headings += ["of a stranger in accepted turns", "in those not taken back"]
    return markdown(f"Two who alternate without a pause, {TALK_S:g} s", headings, rows)


def delays(vid: VoiceID, clips: Sequence[Clip]) -> list[float]:
    """Return how long each decision took after the sound that it needed, in ms."""
    found: list[float] = []
    for clip in clips:
        listener = vid.listen(silence_s=SILENCE_S)
        samples, rate_hz = clip.samples, clip.rate_hz
        events = listener.feed(samples, rate_hz) + listener.finish()
        decided = [event for event in events if event.kind.value == "decision"]
        found += [event.delay_ms for event in decided if event.delay_ms is not None]
    return found


def carried(vid: VoiceID, talk: np.ndarray, streams: int, seconds: float) -> list[str]:
    """Hear so many streams at the pace of their sound; return a line of the table."""
    step = 1600
    events: list[LiveEvent] = []
    late: list[float] = []

    def hear(number: int) -> None:
        listener = vid.listen()
        own = np.roll(talk, number * len(talk) // streams)
        began = time.perf_counter()
        for at in range(0, round(seconds * 16_000) - step, step):
            arrived = began + (at + step) / 16_000
            time.sleep(max(0.0, arrived - time.perf_counter()))
            block = own[np.arange(at, at + step) % len(own)]
            events.extend(listener.feed(block, 16_000, arrived=arrived))
        late.append(time.perf_counter() - began - seconds)

    cpu = time.process_time()
    threads = [threading.Thread(target=hear, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = time.process_time() - cpu
    decided = [event for event in events if event.kind.value == "decision"]
    waited = [event.delay_ms for event in decided if event.delay_ms is not None]
    early = sum(event.end_s is None for event in decided)
    return [
        str(streams),
        f"{cpu / seconds:.2f}",
        f"{max(late):.2f} s",
        f"{len(decided)}, {early}",
        f"{np.median(waited):.0f} ms" if waited else "-",
        f"{np.percentile(waited, 95):.0f} ms" if waited else "-",
    ]


def conversation(clips: Sequence[Clip]) -> np.ndarray:
    """Return utterances in turn with pauses of a second, in which there is faint noise."""
    rng = np.random.default_rng(0)
    pause = rng.normal(0, 1e-4, 16_000).astype(np.float32)
    return np.concatenate([part for clip in clips for part in (clip.samples, pause)])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 10, 20, 30, 40])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--choosing", action="store_true", help="train-clean-100, and no times")
    parser.add_argument("--only-times", action="store_true")
    parser.add_argument("--alternating", action="store_true", help="two who alternate, alone")
    parser.add_argument("--soak", type=float, default=0.0, metavar="HOURS", help="that alone")
    parser.add_argument("--pipe", action="store_true", help="with --soak: voiceid listen -")
    given = parser.parse_args()
    if given.soak:
        print(soak.table(ROOT, given.soak, pipe=given.pipe))
        return
    clips = test_other(given.corpora)
    sets = {
        "test-other": clips,
        "test-other, noise 10 dB": [CONDITIONS["noise 10 dB"](clip) for clip in clips],
        "test-other, mu-law": [CONDITIONS["mu-law 64 kbit/s"](clip) for clip in clips],
        "AMI turns": ami_turns(),
    }
    if given.only_times:
        sets = {}
    if given.choosing:
        sets = {"train-clean-100": train_clean(given.corpora)}
    with tempfile.TemporaryDirectory() as folder, VoiceID.open(Path(folder), home=ROOT) as vid:
        if given.alternating:
            print(alternating_table(vid, clips))
            return
        model = vid._session.loaded_model  # noqa: SLF001 - looks are made once, and asked often
        print(
            f"A sequence of looks counts as {SEQUENCE_LOOKS:g}: one from {looks.FIRST_S:g} s of net"
        )
        print(f"speech on, each {looks.STEP_S:g} s, up to {looks.LAST_S:g} s.\n")
        table: list[list[str]] = []
        for name, chosen in sets.items():
            found = [one for clip in chosen if (one := stream(model.embedder, clip)) is not None]
            table += rows(f"{name}: {len(found)}", model.card.rule, found)
        if table:
            print(markdown("The first look that is accepted", HEADINGS, table))
        if not given.choosing:
            speed(vid, clips, given.streams, given.seconds)


def speed(vid: VoiceID, clips: Sequence[Clip], streams: Sequence[int], seconds: float) -> None:
    """Print how long answers take, and how many streams are carried."""
    by_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    for speaker in list(by_speaker)[:5]:
        vid.enroll(speaker, [clip.source for clip in by_speaker[speaker][:ENROLLED]])
    turns = conversation([own[number] for number in (4, 5, 6) for own in by_speaker.values()])
    rest = [clip for own in by_speaker.values() for clip in own[ENROLLED:]]
    waited = delays(vid, rest)
    print(
        f"One stream, five of ten speakers enrolled, {len(waited)} decisions, after the sound that"
        f" they needed: median {np.median(waited):.0f} ms, 95 % within"
        f" {np.percentile(waited, 95):.0f} ms.\n"
    )
    table = [carried(vid, turns, count, seconds) for count in streams]
    spoken = sum(clip.duration_s for own in by_speaker.values() for clip in own[4:7])
    share = spoken / (len(turns) / 16_000)
    headings = ["streams", "processors busy", "latest at the end", "decisions, before the end"]
    headings += ["median delay", "95 % within"]
    print(markdown(f"Streams at once, each {seconds:g} s, {share:.0%} utterances", headings, table))


if __name__ == "__main__":
    main()
