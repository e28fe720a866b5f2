"""Which voices of all windows are one person: average linkage of cosines, and a last look at each.

Two voices of one window are different people.  For linkage such a pair counts as opposite: it keeps
small groups apart, but one wrong window does not separate two large groups.  At the end the voices
of each window are assigned to different people, with the highest total likeness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MOST_AT_ONCE = 2000
"""Most groups with all distances in memory, 32 MB; more are first joined in blocks of this size."""
_APART = -1.0
"""In place of the cosine of two voices of one window."""
_LEAST_WEIGHT_S = 0.05
"""Weight of a piece in which others speak as well."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The limits for a person.

    - `threshold`: mean cosine of two groups from which they are one person.
    - `piece_s`: shorter pieces are assigned to the people of the longer ones.
    - `least_s`: so are groups with less speech.
    - `fewest`, `most`: how many people there may be.

    Chosen on the AMI cuts trn*: a DER of 26.2 % at a threshold of 0.3, 27.1 at 0.25.
    """

    threshold: float = 0.3
    piece_s: float = 0.75
    least_s: float = 0.75
    fewest: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Speech of the voices of windows.

    - `vectors` (n, dim): of unit length.
    - `voices` (n, 2): the number of the window, and of the voice in it.
    - `alone_s` (n,): seconds of each; 0: another voice speaks as well.
    """

    vectors: Float32Array
    voices: Labels
    alone_s: Floats

    @property
    def weights(self) -> Floats:
        """The weight of each (n,)."""
        return np.maximum(self.alone_s, _LEAST_WEIGHT_S)

    def by_window(self) -> list[Labels]:
        """Return which pieces are of each window."""
        windows = self.voices[:, 0]
        order = np.argsort(windows, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(windows[order])) + 1)

    def __getitem__(self, which: Labels) -> Pieces:
        return Pieces(self.vectors[which], self.voices[which], self.alone_s[which])


def grouped(pieces: Pieces, by: Grouping) -> Labels:
    """Return the number of the person, from 0, of each of n pieces.

    Different voices of a window are different people, as far as there are as many people.
    """
    if len(pieces.alone_s) == 0:
        return np.empty(0, np.int64)
    good = np.flatnonzero(pieces.alone_s >= min(by.piece_s, pieces.alone_s.max()))
    used = pieces[good]
    labels, centres = _people(used, by)
    people = (pieces.vectors @ centres.T).argmax(axis=1)
    people[good] = np.where(labels < 0, people[good], labels)
    return _separated(pieces, people, centres)


def _people(pieces: Pieces, by: Grouping) -> tuple[Labels, Float32Array]:
    """Return the person of each piece, -1 if its group is too small, and all people's vectors.

    The vectors (people, dim) have unit length.
    """
    groups = np.arange(len(pieces.vectors))
    while (n_groups := int(groups.max()) + 1) > _MOST_AT_ONCE:
        block = np.arange(n_groups) * -(-n_groups // _MOST_AT_ONCE) // n_groups
        groups = _halved(pieces, groups, block)[groups]
    tree = _tree(pieces, groups)
    speech_s = np.asarray(np.bincount(groups, pieces.weights), np.float64)
    labels = _cut(tree, speech_s, by)[groups]
    return labels, _means(pieces[np.flatnonzero(labels >= 0)], labels[labels >= 0])


def _halved(pieces: Pieces, groups: Labels, block: Labels) -> Labels:
    """Return groups (groups,) half as many, joined within their blocks."""
    joined = np.empty(len(block), np.int64)
    n_joined = 0
    for number in range(block.max() + 1):
        own = np.flatnonzero(block == number)
        inside = np.flatnonzero(np.isin(groups, own))
        tree = _tree(pieces[inside], groups[inside] - own[0])
        labels = _numbered(tree, max(1, len(own) // 2))
        joined[own] = n_joined + labels
        n_joined += int(labels.max()) + 1
    return joined


def _tree(pieces: Pieces, groups: Labels) -> Floats:
    """Return SciPy's tree (groups - 1, 4) of average linkage, whose heights are 1 - cosine."""
    from scipy.cluster.hierarchy import linkage  # noqa: PLC0415 - for this alone

    means = _means(pieces, groups)
    cosines = np.clip(means @ means.T, -1.0, 1.0)
    voices = pieces.voices[:, 1]
    for window in pieces.by_window():
        left, right = np.meshgrid(window, window)
        apart = voices[left] != voices[right]
        cosines[groups[left[apart]], groups[right[apart]]] = _APART
    distances = (1.0 - cosines)[np.triu_indices(len(means), 1)]
    tree: Floats = linkage(distances, "average") if len(means) > 1 else np.empty((0, 4))
    return tree


def _means(pieces: Pieces, groups: Labels) -> Float32Array:
    """Return the unit vectors (groups, dim) of groups, weighed by how long pieces are."""
    weights = pieces.weights[:, None]
    sums = np.zeros((int(groups.max()) + 1, pieces.vectors.shape[1]))
    np.add.at(sums, groups, weights * pieces.vectors)
    return unit(sums.astype(np.float32))


def _cut(tree: Floats, speech_s: Floats, by: Grouping) -> Labels:
    """Return the number of the person of each group (groups,), -1 if it is too small."""
    from scipy.cluster.hierarchy import fcluster  # noqa: PLC0415 - for this alone

    if len(speech_s) == 1:
        return np.zeros(1, np.int64)
    people = _large(fcluster(tree, 1.0 - by.threshold, "distance"), speech_s, by.least_s)
    most = len(speech_s) if by.most is None else by.most
    n_people = min(max(int(people.max()) + 1, by.fewest), most)
    n_groups = n_people
    while int(people.max()) + 1 != n_people and n_groups <= len(speech_s):
        people = _large(_numbered(tree, n_groups), speech_s, by.least_s)
        n_groups += 1
    if int(people.max()) + 1 != n_people:  # only with small groups there are enough
        people = _large(_numbered(tree, n_people), speech_s, 0.0)
    return people


def _numbered(tree: Floats, n_groups: int) -> Labels:
    """Return labels from 0 (leaves,) of so many groups; ``fcluster`` makes fewer where some tie."""
    n_leaves = len(tree) + 1
    root = np.arange(2 * n_leaves - 1)
    for at in range(n_leaves - n_groups - 1, -1, -1):
        root[tree[at, :2].astype(np.int64)] = root[n_leaves + at]
    return np.unique(root[:n_leaves], return_inverse=True)[1]


def _large(labels: Labels, speech_s: Floats, least_s: float) -> Labels:
    """Return labels from 0 of the groups with enough speech, or with the most; -1 of the others."""
    sizes = np.bincount(labels, speech_s)
    large = np.flatnonzero((sizes >= min(least_s, sizes.max())) & (sizes > 0))
    numbers = np.full(len(sizes), -1)
    numbers[large] = np.arange(len(large))
    return numbers[labels]


def _separated(pieces: Pieces, people: Labels, centres: Float32Array) -> Labels:
    """Return people (n,) such that different voices of a window are different people.

    If a voice of a window is of two people, its parts stay different as well.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - for this alone

    voices, weights = pieces.voices[:, 1], pieces.weights
    separated = people.copy()
    for window in pieces.by_window():
        _, part = np.unique(np.stack([voices[window], people[window]]), axis=1, return_inverse=True)
        likeness = np.zeros((part.max() + 1, len(centres)))
        np.add.at(likeness, part, weights[window, None] * (pieces.vectors[window] @ centres.T + 1))
        best = likeness.argmax(axis=1)
        taken, person = linear_sum_assignment(likeness, maximize=True)
        best[taken] = person
        separated[window] = best[part]
    return separated
