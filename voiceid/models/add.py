"""The card of a network of the user's, from its file and from the options of the command.

The metadata are those of sherpa-onnx's exports: ``framework``, ``sample_rate``, ``output_dim``,
``normalize_samples`` (0: samples are 16-bit integers) and ``feature_normalize_type``.  The filter
bank follows from ``framework``: each toolkit trains all its networks on one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from voiceid.domain import Float32Array
from voiceid.errors import CheckpointInvalid, ModelRuntimeError
from voiceid.limited_process import Allowance, Exhausted, results
from voiceid.models.cards import LocalFile, ModelCard, SelfTest, Windowing
from voiceid.models.frontends import RATE_HZ, FrontEnd, front_ends
from voiceid.models.network import Network, fixed_samples, read_network
from voiceid.models.selftest import signal
from voiceid.models.weld import answer_apart, score_apart, weld, weld_score

FRAMEWORKS = {
    "3d-speaker": FrontEnd("kaldi-fbank-80"),
    "wespeaker": FrontEnd("kaldi-fbank-80", taper="hamming", int16=True),
}
"""The filter bank of each toolkit: 3D-Speaker's ``FBank``, and ``compute_fbank`` of WeSpeaker.

sherpa-onnx itself gives WeSpeaker's networks a povey window and keeps the mean.
"""

_MARGIN = 0.05
"""As for the models of the program: no smaller value was measured for any of them."""

_NO_MEMORY = ("Failed to allocate memory", "bad_alloc")
"""ONNX Runtime's message when memory runs out."""

_MEMORY_BYTES, _CPU_S = 192 << 20, 8
"""Limits for a trial of a network, plus eight times its bytes and a second for each MiB."""

_REDIMNET_INPUT = "features"
"""redimnet2-onnx itself also recognises its exports by this name, not by the shape alone."""

_SAME = 1e-6
"""Scores that differ by a smaller share than this count as equal."""

_MIN_COVERAGE = 0.75
"""Resemblyzer's: a last window with less audio is left out."""


@dataclass(frozen=True, slots=True)
class Addition:
    """The options for a network that is added; None: as its file states.

    - `front_end`: ``kaldi-fbank-80``, ``ge2e-mel-40``, ``redimnet-mel-72`` or ``waveform``.
    - `framework`: ``3d-speaker`` or ``wespeaker``: the toolkit of its filter bank.
    - `window_frames`, `step_frames`: of ``ge2e-mel-40``.
    - `taper`, `mean_removed`: of ``kaldi-fbank-80``: ``povey``, ``hamming`` or ``hann``, and
      whether the mean over time is subtracted from each bin.
    - `int16`: the network counts samples as 16-bit integers, and not from -1 to 1.
    - `kind`: ``encoder``, or ``countermeasure``: one score out, higher for bona fide speech.
    """

    front_end: str
    name: str | None = None
    framework: str | None = None
    rate_hz: int | None = None
    dim: int | None = None
    window_frames: int | None = None
    step_frames: int | None = None
    taper: str | None = None
    int16: bool | None = None
    mean_removed: bool | None = None
    license: str = "not known"
    kind: str = "encoder"


def examined(name: str, file: Path, data: bytes, said: Addition) -> ModelCard:
    """Return `card_of` from a process with limits: a graph may use any memory or time."""
    cpu_s = _CPU_S + (len(data) >> 20)
    allowance = Allowance(_MEMORY_BYTES + 8 * len(data), cpu_s, libraries=("onnx",))
    try:
        [card] = results("voiceid.models.add:cards", (name, file, data, said), allowance)
    except Exhausted as error:
        raise CheckpointInvalid(
            f"{file.name} cannot be added: for 3 s of audio, {error}",
            hint="It is another kind of network, or its export went wrong.",
        ) from error
    return cast("ModelCard", card)


def cards(name: str, file: Path, data: bytes, said: Addition) -> Iterator[ModelCard]:
    """Yield the card of a network; `examined` runs this."""
    try:
        yield card_of(name, file, data, said)
    except ModelRuntimeError as error:
        if any(text in error.message for text in _NO_MEMORY):
            raise MemoryError from error
        raise CheckpointInvalid(
            f"{file.name} cannot be added: {error.message}", hint="Export the network again."
        ) from error


def card_of(name: str, file: Path, data: bytes, said: Addition) -> ModelCard:
    """Return the card of a network, with its answer to the test signal."""
    network = read_network(data, file.name)
    _require_rate(network, said, file.name)
    front_end = _front_end(network, said, file.name)
    windowing = _windowing(network, said, file.name)
    scores = said.kind == "countermeasure"
    _require_input(network, front_end, windowing, file.name, any_length=scores)
    golden = _golden_score(network, front_end) if scores else _golden(network, front_end, windowing)
    _require_dim(network, said, len(golden), file.name)
    return ModelCard(
        name=name,
        title=f"{file.name}, added from a file",
        kind=said.kind,
        network="onnx",
        license=said.license,
        attribution=network.metadata.get("url") or network.metadata.get("framework") or "not known",
        paper=network.metadata.get("comment") or "not known",
        sample_rate_hz=RATE_HZ,
        dim=0 if scores else len(golden),
        frontend=front_end.describe(),
        source=LocalFile(file.name, hashlib.sha256(data).hexdigest()),
        selftest=SelfTest(tuple(map(float, golden)), f"{file.name} itself, outside the weld"),
        windowing=windowing,
        margin=_MARGIN,
    )


def build(card: ModelCard, data: bytes) -> bytes:
    """Return the welded graph of an added model's card and file."""
    front_end = front_ends().get(card.frontend)
    if front_end is None:
        raise CheckpointInvalid(
            f"the card of {card.name} has the front end {card.frontend!r}, which is not known",
            hint="Add the file again: `voiceid models add`.",
        )
    network = read_network(data, card.name)
    if card.kind == "countermeasure":
        return weld_score(network, front_end, card.name)
    return weld(network, front_end, card.windowing, card.dim, card.name)


def _front_end(network: Network, said: Addition, file: str) -> FrontEnd:
    """Return the front end: from the options, else the file, else what the file implies."""
    kind = said.front_end
    if kind == "kaldi-fbank-80":
        return _filter_bank(network, said, file)
    for name in ("framework", "taper", "mean_removed"):
        if getattr(said, name) is not None:
            raise _contradiction(f"{name.replace('_', ' ')} was given, but {kind} has none")
    if kind in {"ge2e-mel-40", "redimnet-mel-72"}:
        if said.int16:
            raise _contradiction(f"16-bit samples were asked for, but {kind} takes -1 to 1")
        return FrontEnd(kind)
    return FrontEnd(kind, int16=_first(said.int16, _int16_of(network, file), otherwise=False))


def _filter_bank(network: Network, said: Addition, file: str) -> FrontEnd:
    framework = said.framework or network.metadata.get("framework")
    whole = None not in (said.taper, said.int16, said.mean_removed)
    if framework not in FRAMEWORKS and not whole:
        why = f"its framework is {framework!r}" if framework else "it does not say"
        raise CheckpointInvalid(
            f"{file}: the filter bank that it was trained on is not known: {why}",
            hint=f"Give --framework {' or --framework '.join(FRAMEWORKS)}, or all of --taper,"
            " --samples and --mean.",
        )
    usual = FRAMEWORKS.get(framework or "", FRAMEWORKS["3d-speaker"])
    normalize = network.metadata.get("feature_normalize_type")
    if normalize not in {None, "", "global-mean"} and said.mean_removed is None:
        raise CheckpointInvalid(
            f"{file}: its features are normalised by {normalize!r}, which is not known here",
            hint="Only the mean over time can be removed: give --mean or --no-mean.",
        )
    return FrontEnd(
        "kaldi-fbank-80",
        taper=said.taper or usual.taper,
        int16=_first(said.int16, _int16_of(network, file), otherwise=usual.int16),
        mean_removed=_first(said.mean_removed, otherwise=usual.mean_removed),
    )


def _int16_of(network: Network, file: str) -> bool | None:
    """Whether the file says that samples are 16-bit integers."""
    # sherpa-onnx's older script for WeSpeaker wrote the second name.
    keys = ("normalize_samples", "normalize_features")
    stated = next((network.metadata[key] for key in keys if key in network.metadata), None)
    if stated not in {None, "0", "1"}:
        raise CheckpointInvalid(
            f"{file}: its normalize_samples is {stated!r}, but must be 0 or 1",
            hint="Give --samples int16 or --samples unit, and correct the file's metadata.",
        )
    return None if stated is None else stated == "0"


def _first(*values: bool | None, otherwise: bool) -> bool:
    return next((value for value in values if value is not None), otherwise)


def _require_rate(network: Network, said: Addition, file: str) -> None:
    stated = network.metadata.get("sample_rate")
    if None not in (said.rate_hz, stated) and stated != str(said.rate_hz):
        raise _contradiction(f"--rate is {said.rate_hz}, but {file} states {stated} Hz")
    rate = str(said.rate_hz or stated or RATE_HZ)
    if rate != str(RATE_HZ):
        raise CheckpointInvalid(
            f"{file} is for audio at {rate} Hz, but voiceid works at {RATE_HZ} Hz",
            hint=f"Use the network's version for {RATE_HZ} Hz.",
        )


def _require_dim(network: Network, said: Addition, size: int, file: str) -> None:
    for where, dim in (("--dim is", said.dim), ("it says", network.metadata.get("output_dim"))):
        if dim is not None and str(dim) != str(size):
            raise _contradiction(f"{file} gives vectors of {size} numbers, but {where} {dim}")


def _windowing(network: Network, said: Addition, file: str) -> Windowing:
    if said.front_end != "ge2e-mel-40" or said.kind == "countermeasure":
        if said.window_frames is not None or said.step_frames is not None:
            raise _contradiction(f"windows were given, but {said.front_end} takes the whole clip")
        return Windowing()
    fixed = network.input_shape[1] if len(network.input_shape) > 1 else None
    if None not in (fixed, said.window_frames) and fixed != said.window_frames:
        raise _contradiction(f"--window is {said.window_frames}, but {file} takes {fixed} frames")
    window = said.window_frames or fixed
    if window is None:
        raise CheckpointInvalid(
            f"{file}: the number of frames in its windows is not known",
            hint="Give --window and --step, in frames of 10 ms; GE2E was published with 160, 77.",
        )
    step = said.step_frames or max(1, window // 2)
    if step > window:
        raise _contradiction(f"--step {step} is longer than the window of {window} frames")
    return Windowing(window, step, _MIN_COVERAGE)


def _require_input(
    network: Network, front_end: FrontEnd, windowing: Windowing, file: str, *, any_length: bool
) -> None:
    """Refuse a network whose input does not fit the output of the front end.

    - `any_length`: it may take a fixed number of samples; clips are cut or repeated to it.
    """
    window = windowing.window_frames
    fixed = fixed_samples(network.input_shape) if any_length else None
    sizes: dict[str, int | None] = {"n": None, "frames": window or None, "samples": fixed}
    expected = tuple(axis if isinstance(axis, int) else sizes[axis] for axis in front_end.takes)
    shape = network.input_shape
    fits = len(shape) == len(expected) and all(
        size is None or size == made for size, made in zip(shape[1:], expected[1:], strict=True)
    )
    batches = shape[:1] == (None,) or (shape[:1] == (1,) and not window)
    if not fits or not batches:
        raise CheckpointInvalid(
            f"{file}: its input {network.input} is {_text(shape)}, but {front_end.kind} gives"
            f" {_text(expected)}",
            hint="Choose its --frontend, or export it with dynamic axes for clips and frames.",
        )
    if front_end.kind == "redimnet-mel-72" and network.input != _REDIMNET_INPUT:
        raise CheckpointInvalid(
            f"{file}: its input is {network.input}, but that of ReDimNet2's exports is"
            f" {_REDIMNET_INPUT}",
            hint="Use an export of redimnet2-onnx: others were trained on other features.",
        )


def _text(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if d is None else str(d) for d in shape)})"


def _golden(network: Network, front_end: FrontEnd, windowing: Windowing) -> Float32Array:
    """Return the network's answer to the test signal; vectors must have one length."""
    whole = answer_apart(network, front_end, windowing, signal())
    short = answer_apart(network, front_end, windowing, signal()[:RATE_HZ])
    if short.shape != whole.shape:
        raise CheckpointInvalid(
            f"the network gives vectors of {len(short)} and of {len(whole)} numbers",
            hint="It is not a speaker encoder: export the part that gives the embedding.",
        )
    if np.allclose(short, whole, atol=1e-6):
        raise CheckpointInvalid(
            "the network gives the same vector for all audio",
            hint="It is not a speaker encoder, or its export went wrong.",
        )
    return whole


def _golden_score(network: Network, front_end: FrontEnd) -> Float32Array:
    """Return a countermeasure's score of the test signal, (1,)."""
    whole, short = (score_apart(network, front_end, s) for s in (signal(), signal()[:RATE_HZ]))
    if abs(whole - short) <= _SAME * max(1.0, abs(whole)):
        raise CheckpointInvalid(
            "the network gives the same score for all audio",
            hint="It is not a countermeasure, or its export went wrong.",
        )
    return np.array([whole], np.float32)


def _contradiction(problem: str) -> CheckpointInvalid:
    return CheckpointInvalid(problem, hint="Nothing was added. Correct it, or leave it out.")
