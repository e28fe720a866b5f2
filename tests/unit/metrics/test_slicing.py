"""Slices of trials."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceid import metrics


def labels(attributes):
    return {(s.attribute, s.label): np.flatnonzero(s.rows).tolist() for s in slices(attributes)}


def slices(attributes):
    return list(metrics.slices(attributes))


def test_numbers_are_cut_at_their_edges_and_texts_by_value():
    found = labels(
        {
            "net_speech_s": [0.9, 1.0, 2.5, 8.0, 100.0],
            "snr_db": [math.nan, -3.0, 5.0, 12.0, 30.0],
            "line": ["other", "telephone, both sides", "other", "unheard", "other"],
            "condition": ["clean", "", "clean", "clean", "clean"],
        }
    )
    assert found == {
        ("net_speech_s", "below 1"): [0],
        ("net_speech_s", "1 to 2"): [1],
        ("net_speech_s", "2 to 4"): [2],
        ("net_speech_s", "8 and more"): [3, 4],
        ("snr_db", "below 5"): [1],
        ("snr_db", "5 to 10"): [2],
        ("snr_db", "10 to 20"): [3],
        ("snr_db", "30 and more"): [4],
        ("snr_db", "unknown"): [0],
        ("line", "unheard"): [3],
        ("line", "telephone, both sides"): [1],
        ("line", "other"): [0, 2, 4],
        ("condition", "unknown"): [1],
        ("condition", "clean"): [0, 2, 3, 4],
    }


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_the_slices_of_an_attribute_hold_every_trial_once(values):
    held = np.sum([s.rows for s in slices({"snr_db": values})], axis=0)
    assert held.tolist() == [1] * len(values)


def test_of_no_trials_there_are_no_slices():
    assert slices({"net_speech_s": [], "condition": []}) == []
