"""What the lines do to a model's embeddings, learned from recordings that were sent through them.

Which line, room or noise a recording went through is its *condition*.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array
from voiceid.evaluation.bounds import Bools, Indices

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]

DIRECTIONS = 12
"""Nuisance directions that are removed.  8 to 16 are alike on speakers of LibriSpeech and of AMI
that were not learned from; with none, 1.5 times as many right people are refused."""

_SHARE = 12
"""One direction of so many components at most, as of the 192 on which that was measured."""

_NOTHING = 1e-9
"""Share of the largest variance below which a direction is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What an encoder made of recordings and pieces of recordings: columns (n,), a row each.

    Parameters
    ----------
    speaker, sex : str
        ``sex`` is ``F``, ``M``, or empty where it is not known: then it is as everybody's.
    recording : str
        Two pieces of one recording are never compared.
    condition : str
        What it went through.
    over_telephone : bool
        Whether that is a telephone.
    whole : bool
        Whether it may be enrolled: a recording, or a third of a speaker's only one.
    net_speech_s, snr_db : float
        ``snr_db`` is NaN where it is not known.
    vectors : (n, dim) float32
        As the encoder made them, of unit length.
    """

    speaker: Texts
    sex: Texts
    recording: Texts
    condition: Texts
    over_telephone: Bools
    whole: Bools
    net_speech_s: Floats
    snr_db: Floats
    vectors: Float32Array

    def where(self, rows: Bools | Indices) -> Heard:
        """Return some of the rows."""
        return Heard(*(getattr(self, field.name)[rows] for field in fields(self)))


def learn(heard: Heard, directions: int = DIRECTIONS) -> Compensation:
    """Learn a compensation from recordings of which each went through all conditions.

    Every speaker weighs the same.  The directions, at most a twelfth of the components, are those
    in which the means of one speaker's embeddings differ most between conditions, after the mean of
    the line was taken away.
    """
    weights, means = _discriminant(heard)
    plain = Compensation(
        weights=weights.astype(np.float32),
        means=means.astype(np.float32),
        matrix=np.eye(heard.vectors.shape[1], dtype=np.float32),
    )
    moved = plain.centred(heard.vectors).astype(np.float64)
    steps = [_between_conditions(moved, heard, name) for name in np.unique(heard.speaker)]
    values, axes = np.linalg.eigh(np.sum(steps, axis=0))
    found = int(np.sum(values > _NOTHING * values[-1]))
    n_removed = min(directions, len(axes) // _SHARE, found)
    nuisance = axes[:, len(axes) - n_removed :]
    matrix = np.eye(len(axes)) - nuisance @ nuisance.T
    return replace(plain, matrix=matrix.astype(np.float32))


def _between_conditions(moved: Floats, heard: Heard, speaker: str) -> Floats:
    """Return how the means of a speaker's embeddings differ between conditions, (dim, dim)."""
    own = heard.speaker == speaker
    names = np.unique(heard.condition[own])
    steps = np.stack([moved[own & (heard.condition == name)].mean(axis=0) for name in names])
    steps -= steps.mean(axis=0)
    return np.asarray(steps.T @ steps / len(steps))


def _discriminant(heard: Heard) -> tuple[Floats, Floats]:
    """Return weights and offset (dim + 1,) of the log odds of a telephone, and the means (2, dim).

    Fisher's linear discriminant, with a covariance that is shrunk by a tenth: the posterior of two
    Gaussians of one covariance, and nothing to converge.
    """
    vectors, lines = heard.vectors.astype(np.float64), heard.over_telephone.astype(np.intp)
    who = np.unique(heard.speaker, return_inverse=True)[1]
    counts = np.bincount(2 * who + lines, minlength=2 * (who.max() + 1))
    share = 1.0 / counts[2 * who + lines]  # of its speaker's embeddings over its line
    n_speakers = np.bincount(lines, share, minlength=2)
    means = np.stack([share[lines == i] @ vectors[lines == i] / n_speakers[i] for i in (0, 1)])
    vectors = vectors - means[lines]
    covariance = (share[:, None] * vectors).T @ vectors / n_speakers.sum()
    dim = len(covariance)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / dim * np.eye(dim)
    slopes = np.linalg.solve(shrunk, means[1] - means[0])
    return np.append(slopes, -slopes @ means.mean(axis=0)), means


def compensated(heard: Heard, compensation: Compensation) -> tuple[Float32Array, Float32Array]:
    """Return the compensated embeddings (n, dim), and the posteriors of a telephone (n,)."""
    return compensation.apply(heard.vectors), compensation.telephone(unit(heard.vectors))
