"""The effect of lines on a model's embeddings, learned from recordings sent through them.

The line, room or noise that a recording went through is its *condition*.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array
from voiceid.evaluation.bounds import Bools, Floats, Indices
from voiceid.evaluation.degradations import UNFILTERED

Texts = npt.NDArray[np.str_]

DIRECTIONS = (4, 14)
"""Directions removed from wideband speech, and from a telephone's.  With more for wideband speech,
the voices of AMI are separated worse; with fewer for telephones, voices over other lines are, and
with 12 the thresholds of both lines were 0.11 apart."""

UNFILTERED_WEIGHT = 1 / 3
"""Weight, in the means and the posterior, of an embedding of speech whose rate was raised without a
filter; other conditions have the weight 1.  Of 1/12, 1/9, 1/6, 1/4, 1/3, 1/2 and 1 it is the
least that keeps a false match rate of 0.1 % of strangers who both came by 8 kHz so, in each half of
four halvings of the speakers of LibriSpeech whom campplus learned from."""

_SHARE = 12
"""At most one direction for this many components, as for the 192 that were measured."""

_NOTHING = 1e-9
"""Share of the largest variance below which a direction counts as zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The embeddings of recordings and pieces of recordings: columns (n,), a row each.

    Parameters
    ----------
    speaker, sex : str
        ``sex`` is ``F``, ``M``, or empty if not known: then it matches both.
    recording : str
        Two pieces of one recording are never compared.
    piece : str
        The recording, or the third of it: pieces of other names do not overlap if both are whole.
    condition : str
        The line, room or noise that it went through.
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
    piece: Texts
    condition: Texts
    over_telephone: Bools
    whole: Bools
    net_speech_s: Floats
    snr_db: Floats
    vectors: Float32Array

    def where(self, rows: Bools | Indices) -> Heard:
        """Return some of the rows."""
        return Heard(*(getattr(self, field.name)[rows] for field in fields(self)))


def learn(heard: Heard, directions: tuple[int, int] = DIRECTIONS) -> Compensation:
    """Learn a compensation from recordings of which each went through all conditions.

    Every speaker weighs the same, and every condition but `UNFILTERED`.  The
    directions, at most a twelfth of the components, are those in which the means of one speaker's
    embeddings differ most between conditions, after the mean of the line was subtracted: for
    wideband speech between wideband conditions, for a telephone's between all.
    """
    means = np.stack([_mean(heard.where(heard.over_telephone == line)) for line in (0, 1)])
    centred = heard.vectors - means[heard.over_telephone.astype(np.intp)]
    moved = replace(heard, vectors=centred.astype(np.float32))
    return Compensation(
        weights=_discriminant(heard).astype(np.float32),
        means=means.astype(np.float32),
        wideband_directions=_nuisance(moved.where(~moved.over_telephone), directions[0]),
        telephone_directions=_nuisance(moved, directions[1]),
    )


def _nuisance(heard: Heard, most: int) -> Float32Array:
    """Return the directions (k, dim) in which a speaker's means differ most between conditions."""
    steps = [_between_conditions(heard, name) for name in np.unique(heard.speaker)]
    values, axes = np.linalg.eigh(np.sum(steps, axis=0))
    n_real = int(np.sum(values > _NOTHING * values[-1]))
    count = min(most, len(axes) // _SHARE, n_real)
    nuisance = axes[:, ::-1][:, :count].T
    signs = np.sign(nuisance[np.arange(count), np.abs(nuisance).argmax(axis=1)])  # one of two
    return np.asarray(nuisance * signs[:, None], dtype=np.float32)


def _between_conditions(heard: Heard, speaker: str) -> Floats:
    """Return the scatter of a speaker's means between conditions, (dim, dim)."""
    own = heard.where(heard.speaker == speaker)
    names = np.unique(own.condition)
    means = np.stack([own.vectors[own.condition == name].mean(axis=0) for name in names])
    steps = (means - means.mean(axis=0)).astype(np.float64)
    return np.asarray(steps.T @ steps / len(steps))


def _discriminant(heard: Heard) -> Floats:
    """Return weights and offset (dim + 1,) of the log odds of a telephone.

    Fisher's linear discriminant, with a covariance that is shrunk by a tenth: the posterior of two
    Gaussians of one covariance, and nothing to converge.
    """
    vectors, lines = heard.vectors.astype(np.float64), heard.over_telephone.astype(np.intp)
    who, share = np.unique(heard.speaker, return_inverse=True)[1], _weights(heard)
    share /= np.bincount(who, share)[who]  # every speaker weighs the same
    weights = [share * (lines == line) for line in (0, 1)]
    means = np.stack([own @ vectors / own.sum() for own in weights])
    vectors = vectors - means[lines]
    covariance = (vectors * share[:, None]).T @ vectors / share.sum()
    dim = len(covariance)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / dim * np.eye(dim)
    slopes = np.linalg.solve(shrunk, means[1] - means[0])
    return np.append(slopes, -slopes @ means.mean(axis=0))


def _mean(heard: Heard) -> Floats:
    """Return the mean (dim,) of the speakers' means."""
    weights = _weights(heard)
    rows = [heard.speaker == name for name in np.unique(heard.speaker)]
    means = [np.average(heard.vectors[own], axis=0, weights=weights[own]) for own in rows]
    return np.asarray(np.mean(means, axis=0))


def _weights(heard: Heard) -> Floats:
    """Return the weight of each row (n,) among those of its speaker."""
    return np.where(np.isin(heard.condition, list(UNFILTERED)), UNFILTERED_WEIGHT, 1.0)


def compensated(heard: Heard, compensation: Compensation) -> tuple[Float32Array, Float32Array]:
    """Return the compensated embeddings (n, dim), and the posteriors of a telephone (n,)."""
    return compensation.apply(heard.vectors), compensation.telephone(unit(heard.vectors))
