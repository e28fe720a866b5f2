"""How fast voiceid is, as ratios to named peers measured in the same run.

    make bench          (python -m benchmarks.speed [--corpora FOLDER] [--runs N])

Two commands that are compared run in turn, A B A B ..., each in a process of its own, and the
ratio is taken pair by pair: a machine that slows down meanwhile slows both.  The median of
the ratios is what counts.  Without the corpora the clips are turns of AMI meetings.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpora import ami_turns, corpora_argument, test_other
from benchmarks.peers import Peers, set_up
from benchmarks.tables import markdown
from benchmarks.voices import Hearing, open_encoder
from voiceid import VoiceID
from voiceid.domain import Embedding, EmbeddingSpace, NewSample, QualityReport, Utterance
from voiceid.evaluation.degradations import Clip
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store

ROOT = Path(__file__).resolve().parents[1]
TIMED = Path(__file__).with_name("timed")
N_ENROLLED = 10
N_SEARCHED = 10_000
DIM = 192
FAST = "campplus-int8"

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the report; ``values`` are what was measured, their median counts."""

    what: str
    values: Sequence[float]
    unit: str
    limit: float | None
    at_least: bool = False

    def cells(self) -> list[str]:
        """Return the row: median, least and greatest, the target, and whether it was met."""
        median = statistics.median(self.values)
        target, verdict = "-", ""
        if self.limit is not None:
            target = f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"
            met = median >= self.limit if self.at_least else median <= self.limit
            verdict = "pass" if met else "miss"
        numbers = [f"{value:.3g}" for value in (median, min(self.values), max(self.values))]
        return [self.what, f"{numbers[0]} {self.unit}", *numbers[1:], target, verdict]


def run(*command: str | Path, ok: Sequence[int] = (0,)) -> tuple[float, str]:
    """Run a command; return the seconds from its start to its end, and what it printed.

    Raises
    ------
    RuntimeError
        It failed: then its time says nothing.
    """
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in ok:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds, done.stdout


def printed(*command: str | Path) -> float:
    """Run a command that prints one number, and return it."""
    return float(run(*command)[1])


def in_turn(runs: int, *measures: Measure) -> list[list[float]]:
    """Return what each measure gave in ``runs`` rounds, after a round that is not counted."""
    rounds = [[measure() for measure in measures] for _ in range(runs + 1)][1:]
    return [list(column) for column in zip(*rounds, strict=True)]


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratios pair by pair."""
    return [a / b for a, b in zip(over, under, strict=True)]


def throughput(clips: Sequence[Path], peers: Peers, runs: int) -> list[Line]:
    """Measure files to embeddings, on one thread against sherpa-onnx, on two, and in INT8."""
    audio_s = sum(soundfile.info(clip).duration for clip in clips)

    def own(workers: int, model: str = "campplus") -> Measure:
        module = ("-m", "benchmarks.timed.voiceid_files", model, str(workers))
        return lambda: printed(sys.executable, *module, *clips)

    def sherpa() -> float:
        return printed(peers.python, TIMED / "sherpa_files.py", peers.sherpa_model, *clips)

    one, other, two, fast = in_turn(runs, own(1), sherpa, own(2), own(1, FAST))
    return [
        Line("voiceid, one worker", [audio_s / s for s in one], "x real time", None),
        Line("sherpa-onnx, one thread", [audio_s / s for s in other], "x real time", None),
        Line(
            "throughput, voiceid with speech detection and quality / sherpa-onnx without",
            ratios(other, one),
            "times",
            1.0,
            at_least=True,
        ),
        Line("throughput, two workers / one", ratios(one, two), "times", 1.8, at_least=True),
        Line(f"voiceid with {FAST}, one worker", [audio_s / s for s in fast], "x real time", None),
        Line(
            f"throughput, voiceid with {FAST} / sherpa-onnx in float32",
            ratios(other, fast),
            "times",
            1.5,
            at_least=True,
        ),
        Line(f"throughput, {FAST} / campplus", ratios(one, fast), "times", None),
    ]


def whole_process(clip: Path, data: Path, peers: Peers, runs: int) -> list[Line]:
    """Measure `voiceid identify` from start to end against scripts that only embed."""
    identify = (_program(), "--data", data, "identify", clip)

    def own() -> float:
        return run(*identify, ok=(0, 10, 11))[0]

    def memory() -> float:
        return printed(sys.executable, "-S", TIMED / "peak_memory.py", *identify)

    def sherpa() -> float:
        return run(peers.python, TIMED / "sherpa_clip.py", peers.sherpa_model, clip)[0]

    def resemblyzer() -> float:
        return run(peers.python, TIMED / "resemblyzer_clip.py", clip)[0]

    mine, bare, old, mib = in_turn(runs, own, sherpa, resemblyzer, memory)
    return [
        Line(f"voiceid identify, {N_ENROLLED} enrolled", mine, "s", None),
        Line("sherpa-onnx script", bare, "s", None),
        Line("Resemblyzer script", old, "s", None),
        Line("whole process, voiceid identify / sherpa-onnx script", ratios(mine, bare), "x", 1.5),
        Line(
            "whole process, Resemblyzer script / voiceid identify",
            ratios(old, mine),
            "times",
            4.0,
            at_least=True,
        ),
        Line("peak memory, voiceid identify", mib, "MiB", 250.0),
    ]


def start_up(runs: int) -> list[Line]:
    """Measure what stands before any work."""
    program = "import time; t = time.perf_counter(); import voiceid; print(time.perf_counter() - t)"
    [imports, helps] = in_turn(
        runs, lambda: printed(sys.executable, "-c", program), lambda: run(_program(), "--help")[0]
    )
    return [
        Line("import voiceid", imports, "s", 0.15),
        Line("voiceid --help, whole process", helps, "s", 0.3),
    ]


def search(folder: Path, runs: int) -> list[Line]:
    """Measure a search among ten thousand, from the snapshot's revision to the best five."""
    rng = np.random.default_rng(0)
    space = EmbeddingSpace("bench", DIM, "0" * 64, "none", "whole", "none")
    vectors = rng.standard_normal((N_SEARCHED, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = QualityReport(5.0, 4.0, 30.0, 0.0, 8000.0, 16_000, -20.0)
    store = Store.open(folder / "voiceid.sqlite3")
    with store.write() as writer:
        for number, vector in enumerate(vectors.astype(np.float32)):
            name = f"speaker {number}"
            utterance = Utterance(
                name, hashlib.sha256(name.encode()).hexdigest(), quality, Embedding(vector, space)
            )
            writer.samples.add(writer.speakers.add(name).id, space, [NewSample(utterance)])
    gallery = GalleryIndex(space.id, DIM, folder / "bench.index")
    values = []
    with store.read() as reader:
        gallery.search(reader, vectors[0].astype(np.float32), 5)
        for query in vectors[: 100 * runs].astype(np.float32):
            started = time.perf_counter()
            found = gallery.search(reader, query, 5)
            values.append((time.perf_counter() - started) * 1e3)
            if not found[0][1] > 0.999:
                raise RuntimeError("the search did not find the vector itself")
    store.close()
    return [Line(f"search among {N_SEARCHED:,} enrolled", values, "ms", 1.0)]


def same_embedding(clip: Path, peers: Peers) -> float:
    """Return the cosine between sherpa-onnx's vector of a clip and that of our graph."""
    _, numbers = run(peers.python, TIMED / "sherpa_clip.py", peers.sherpa_model, clip)
    theirs = np.array(numbers.split(), dtype=np.float64)
    samples, _ = soundfile.read(clip, dtype="float32")
    ours = open_encoder(Hearing()).raw.embed(samples).vector
    return float(theirs @ ours / np.linalg.norm(theirs))


def write_clips(clips: Sequence[Clip], folder: Path) -> dict[str, list[Path]]:
    """Write clips as flac files; return their paths by speaker."""
    paths: dict[str, list[Path]] = {}
    for number, clip in enumerate(clips):
        path = folder / f"{number:03}.flac"
        soundfile.write(path, clip.samples, clip.rate_hz)
        paths.setdefault(clip.speaker, []).append(path)
    return paths


def enroll(paths: dict[str, list[Path]], data: Path) -> None:
    """Enrol as many speakers as there shall be, with three clips each or as many as there are."""
    most = sorted(paths, key=lambda name: -sum(path.stat().st_size for path in paths[name]))
    settings = {"enrollment.min_speech_s": 0.0}
    with VoiceID.open(data, home=ROOT, overrides=settings) as vid:
        for name in most[:N_ENROLLED]:
            vid.enroll(name, list(map(str, paths[name][:3])), force=True)


def _program() -> Path:
    return Path(sys.executable).with_name("voiceid")


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command")
    args = parser.parse_args()
    peers = set_up()
    there = (args.corpora / "librispeech_test-other").is_dir()
    clips = test_other(args.corpora) if there else ami_turns(min_duration_s=3.0)
    corpus = "LibriSpeech test-other" if there else "AMI turns"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_clips(clips, folder)
        files = [path for own in paths.values() for path in own]
        enroll(paths, folder / "gallery")
        probe = folder / "probe.mp3"
        longest = max(clips, key=lambda clip: clip.duration_s if clip.duration_s < 10.0 else 0.0)
        soundfile.write(probe, longest.samples, longest.rate_hz)
        print(
            f"{len(files)} clips of {corpus}, {sum(c.duration_s for c in clips):.0f} s;"
            f" the probe is an mp3 of {longest.duration_s:.1f} s"
        )
        cosine = same_embedding(files[0], peers)
        print(f"the same weights: cosine to the vector of sherpa-onnx {cosine:.7f}\n")
        lines = [
            *throughput(files, peers, args.runs),
            *whole_process(probe, folder / "gallery", peers, args.runs),
            *start_up(args.runs),
            *search(folder, args.runs),
        ]
    headers = ["what", "median", "least", "most", "target", ""]
    print(markdown(f"{args.runs} counted runs each", headers, [line.cells() for line in lines]))


if __name__ == "__main__":
    main()
