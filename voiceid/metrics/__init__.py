"""Error rates of speaker recognition, fractions from 0 to 1.  Pure: arrays in, numbers out.

An equal score is an acceptance.  FMR is the share of impostor comparisons that are accepted, FNMR
that of genuine ones that are refused (ISO/IEC 19795-1).  Ascending scores are not sorted again.
Scores without a rate raise ValueError.
"""

from voiceid.metrics.bootstrap import Interval as Interval
from voiceid.metrics.bootstrap import Resampled as Resampled
from voiceid.metrics.bootstrap import expanded_interval as expanded_interval
from voiceid.metrics.bootstrap import false_match_interval as false_match_interval
from voiceid.metrics.bootstrap import resample_speakers as resample_speakers
from voiceid.metrics.costs import act_dcf as act_dcf
from voiceid.metrics.costs import bayes_threshold as bayes_threshold
from voiceid.metrics.costs import cllr as cllr
from voiceid.metrics.costs import min_cllr as min_cllr
from voiceid.metrics.costs import min_dcf as min_dcf
from voiceid.metrics.costs import normalized_cost as normalized_cost
from voiceid.metrics.detection import DetCurve as DetCurve
from voiceid.metrics.detection import crossing as crossing
from voiceid.metrics.detection import det_curve as det_curve
from voiceid.metrics.detection import equal_error_rate as equal_error_rate
from voiceid.metrics.detection import error_counts as error_counts
from voiceid.metrics.detection import error_rates as error_rates
from voiceid.metrics.detection import threshold_at_fmr as threshold_at_fmr
from voiceid.metrics.identification import IdentificationCounts as IdentificationCounts
from voiceid.metrics.identification import IdentificationCurve as IdentificationCurve
from voiceid.metrics.identification import Searches as Searches
from voiceid.metrics.identification import fmr_for_fpir as fmr_for_fpir
from voiceid.metrics.identification import identification_counts as identification_counts
from voiceid.metrics.identification import identification_curve as identification_curve
from voiceid.metrics.identification import rank_of_own as rank_of_own
from voiceid.metrics.posteriors import Reliability as Reliability
from voiceid.metrics.posteriors import reliability as reliability
from voiceid.metrics.rates import Rate as Rate
from voiceid.metrics.rates import exact_bounds as exact_bounds
from voiceid.metrics.rates import failures as failures
from voiceid.metrics.rates import rate_upper_bound as rate_upper_bound
from voiceid.metrics.scores import Scores as Scores
from voiceid.metrics.scores import Trials as Trials
from voiceid.metrics.slicing import EDGES as EDGES
from voiceid.metrics.slicing import UNKNOWN as UNKNOWN
from voiceid.metrics.slicing import Slice as Slice
from voiceid.metrics.slicing import slices as slices
from voiceid.metrics.tandem import TandemCosts as TandemCosts
from voiceid.metrics.tandem import VerifierErrors as VerifierErrors
from voiceid.metrics.tandem import default_tandem_cost as default_tandem_cost
from voiceid.metrics.tandem import min_tandem_cost as min_tandem_cost
from voiceid.metrics.tandem import tandem_bounds as tandem_bounds
from voiceid.metrics.tandem import tandem_cost as tandem_cost
