"""Error rates of speaker recognition.  Pure: arrays in, numbers out.

A comparison accepts when its score is at least the threshold, as the product decides:
an equal score is an acceptance everywhere here, so that ties are counted as they happen.

FMR, the false match rate, is the share of impostor comparisons that are accepted; FNMR, the
false non-match rate, the share of genuine comparisons that are refused (ISO/IEC 19795-1).
Rates are fractions, 0 to 1, never percents.

Scores may be float32 or float64: float32 ones answer as their float64 copies would, with less
memory.  Scores that are in ascending order are not sorted again: of millions, ``np.sort`` either
side once.
"""

from voiceid.metrics.bootstrap import (
    Interval,
    Resampled,
    bootstrap_by_speaker,
    expanded_interval,
    false_match_interval,
    resample_speakers,
)
from voiceid.metrics.correlation import rank_correlation
from voiceid.metrics.costs import (
    act_dcf,
    bayes_threshold,
    cllr,
    min_cllr,
    min_dcf,
    normalized_cost,
)
from voiceid.metrics.detection import (
    DetCurve,
    crossing,
    det_curve,
    equal_error_rate,
    error_counts,
    error_rates,
    threshold_at_fmr,
)
from voiceid.metrics.identification import (
    IdentificationCounts,
    IdentificationCurve,
    Searches,
    fmr_for_fpir,
    fpir_of_gallery,
    identification_counts,
    identification_curve,
    identification_rates_by_rank,
    rank_of_own,
    threshold_at_fpir,
)
from voiceid.metrics.posteriors import Reliability, reliability
from voiceid.metrics.rates import Rate, failures, rate_upper_bound
from voiceid.metrics.scores import Scores, Trials
from voiceid.metrics.slicing import EDGES, UNKNOWN, Slice, slices

__all__ = [
    "EDGES",
    "UNKNOWN",
    "DetCurve",
    "IdentificationCounts",
    "IdentificationCurve",
    "Interval",
    "Rate",
    "Reliability",
    "Resampled",
    "Scores",
    "Searches",
    "Slice",
    "Trials",
    "act_dcf",
    "bayes_threshold",
    "bootstrap_by_speaker",
    "cllr",
    "crossing",
    "det_curve",
    "equal_error_rate",
    "error_counts",
    "error_rates",
    "expanded_interval",
    "failures",
    "false_match_interval",
    "fmr_for_fpir",
    "fpir_of_gallery",
    "identification_counts",
    "identification_curve",
    "identification_rates_by_rank",
    "min_cllr",
    "min_dcf",
    "normalized_cost",
    "rank_correlation",
    "rank_of_own",
    "rate_upper_bound",
    "reliability",
    "resample_speakers",
    "slices",
    "threshold_at_fmr",
    "threshold_at_fpir",
]
