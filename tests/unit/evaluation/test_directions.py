"""A telephone's directions leave wideband embeddings where speakers gain by it, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from voiceid.decision.embeddings import unit
from voiceid.evaluation.directions import fit_compensation
from voiceid.evaluation.learning import Heard, learn

DIM, RECORDINGS = 48, 3
CONDITIONS = {"clean": False, "noise 10 dB": False, "8 kHz": True, "GSM 13 kbit/s": True}
"""And whether they are telephones."""
LINE = np.arange(4)
"""The components in which a telephone moves an embedding, another way each time."""


def heard(speakers: int, own: float, within: float) -> Heard:
    """One recording of every speaker, in thirds, through all conditions.

    - `own`, `within`: how much speakers differ in the telephones' components, and how much the
      thirds of one speaker.
    """
    rng = np.random.default_rng(5)
    rows, found = [], []
    for s in range(speakers):
        voice = np.zeros(DIM)
        voice[:10] = rng.normal(size=10) * np.where(np.isin(np.arange(10), LINE), own, 1.0)
        for r in range(RECORDINGS):
            third = voice + 0.3 * rng.normal(size=DIM)
            third[LINE] += within * rng.normal(size=4)
            for condition, telephone in CONDITIONS.items():
                names = (f"s{s}", "FM"[s % 2], f"s{s}", f"s{s}/{r}", condition)
                rows.append((*names, telephone, True, 4.0, 20.0))
                moved = third + 0.1 * rng.normal(size=DIM)
                moved[LINE] += telephone * (1.0 + 0.7 * rng.normal(size=4))
                found.append(moved)
    vectors = unit(np.array(found, dtype=np.float32))
    return Heard(*(np.array(column) for column in zip(*rows, strict=True)), vectors)


@pytest.mark.parametrize(("own", "within", "wider"), [(0.0, 1.0, True), (1.0, 0.0, False)])
def test_they_are_removed_from_wideband_embeddings_where_fewer_are_refused_then(
    own: float, within: float, wider: bool
) -> None:
    one = heard(54, own, within)
    compensation, refused = fit_compensation(one)
    assert refused is not None
    assert (refused[1] < refused[0]) == wider
    plain = learn(one)
    kept = plain.telephone_directions if wider else plain.wideband_directions
    np.testing.assert_array_equal(compensation.wideband_directions, kept)
    np.testing.assert_array_equal(compensation.telephone_directions, plain.telephone_directions)


def test_with_too_few_strangers_for_the_rate_they_are_not() -> None:
    few = heard(20, 0.0, 1.0)
    compensation, refused = fit_compensation(few)
    assert refused is None
    np.testing.assert_array_equal(compensation.wideband_directions, learn(few).wideband_directions)
