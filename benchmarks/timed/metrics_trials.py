"""Error rates of ten million trials, made up, so that all of them are known to be there.

    python -m benchmarks.timed.metrics_trials report|det|scikit-learn

``report`` is everything that a report says of one set of trials, with bounds by speaker; ``det``
and ``scikit-learn`` are the DET curve alone, by either implementation.  Prints one JSON object:
``seconds`` (without the making of the trials), ``peak_mib`` of the process, ``parts`` in seconds,
and ``rate``, the FMR where the curve's two rates are closest.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.metrics import Trials

N_GENUINE, N_IMPOSTOR, N_SPEAKERS = 100_000, 9_900_000, 250
PRIORS = (0.01, 0.05)

Floats: TypeAlias = npt.NDArray[np.float64]


def make_trials() -> tuple[Trials, Trials]:
    """Return calibrated LLRs of genuine and of impostor trials, in no order."""
    rng = np.random.default_rng(0)
    own = rng.integers(N_SPEAKERS, size=N_GENUINE)
    one = rng.integers(N_SPEAKERS, size=N_IMPOSTOR)
    other = (one + rng.integers(1, N_SPEAKERS, size=N_IMPOSTOR)) % N_SPEAKERS
    genuine = rng.normal(8, 4, N_GENUINE)  # an LLR whose variance is twice its mean
    impostor = rng.normal(-8, 4, N_IMPOSTOR)
    return Trials(genuine, np.stack([own, own], axis=1)), Trials(
        impostor, np.stack([one, other], axis=1)
    )


def report(genuine: Trials, impostor: Trials) -> dict[str, float]:
    """Compute all measures; return the seconds of each."""
    seconds: dict[str, float] = {}

    def timed(name: str, compute: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        value = compute()
        seconds[name] = time.perf_counter() - started
        return value

    at = [metrics.bayes_threshold(prior) for prior in PRIORS]
    sides = timed("sorting", lambda: [np.sort(side.scores) for side in (genuine, impostor)])
    same, other = sides
    timed("FMR and FNMR", lambda: [metrics.error_counts(same, other, t) for t in at])
    timed("EER", lambda: metrics.equal_error_rate(same, other))
    timed("minDCF", lambda: [metrics.min_dcf(same, other, p_target=p) for p in PRIORS])
    timed("actDCF", lambda: [metrics.act_dcf(same, other, p_target=p) for p in PRIORS])
    timed("Cllr", lambda: metrics.cllr(same, other))
    timed("minCllr", lambda: metrics.min_cllr(same, other))
    timed("reliability", lambda: metrics.reliability(same, other))
    timed("DET curve", lambda: metrics.det_curve(same, other))
    timed(
        "bounds by speaker",
        lambda: metrics.resample_speakers(genuine, impostor, thresholds=at, llr=True),
    )
    return seconds


def det(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    """Return (fmr, fnmr) of scores in no order."""
    curve = metrics.det_curve(genuine, impostor)
    return curve.fmr, curve.fnmr


def det_of_scikit_learn(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    """Return (fmr, fnmr) as scikit-learn does."""
    from sklearn.metrics import det_curve  # noqa: PLC0415 - its memory is not ours

    truth = np.repeat([True, False], [genuine.size, impostor.size])
    fmr, fnmr, _ = det_curve(truth, np.concatenate([genuine, impostor]))
    return fmr, fnmr


def main(what: str) -> None:
    """Compute, and say what it took."""
    genuine, impostor = make_trials()
    parts: dict[str, float] = {}
    rate = None
    started = time.perf_counter()
    if what == "report":
        parts = report(genuine, impostor)
    else:
        curve = {"det": det, "scikit-learn": det_of_scikit_learn}[what]
        fmr, fnmr = curve(np.asarray(genuine.scores), np.asarray(impostor.scores))
        rate = float(fmr[np.argmin(np.abs(fmr - fnmr))])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS counts in bytes
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib, "parts": parts, "rate": rate}))


if __name__ == "__main__":
    main(sys.argv[1])
