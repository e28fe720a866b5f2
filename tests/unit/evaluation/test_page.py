"""The page of a report: what it says first, and that it can be read."""

from __future__ import annotations

import html.parser
import re
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from judging import calibration, gallery_protocol, judged, rule

from voiceid.domain import EmbeddingSpace
from voiceid.evaluation.acquisition import Acquisition
from voiceid.evaluation.evaluate import Evaluation
from voiceid.evaluation.page import lead, page
from voiceid.evaluation.report import errors, sliced
from voiceid.evaluation.scoring import Failure
from voiceid.metrics import Rate

SPACE = EmbeddingSpace("campplus", 192, "0" * 64, "", "", "")


def evaluation(spread: float = 0.12) -> Evaluation:
    protocol = replace(
        gallery_protocol(20, 8, 12),
        description="the first recording of each speaker enrolled",
        source="a <set>",
    )
    of = rule(calibration())
    made = judged(of, protocol, spread=spread)
    rate = Rate.of(0, len(protocol.recordings))
    failed = Failure(protocol.recordings[0], "no_speech", "only `0.2 s` of speech")
    facts = {
        "protocol": protocol,
        "space": SPACE,
        "made_at": datetime(2026, 1, 2, tzinfo=UTC),
        "calibration": of.calibration,
        "acquisition": Acquisition(rate, rate, {}, {}, (failed,)),
        "overall": errors(made),
        "slices": tuple(sliced(made, protocol)),
        "judged": made,
    }
    return Evaluation(**{one.name: facts.get(one.name) for one in fields(Evaluation)})


class Shown(html.parser.HTMLParser):
    """What stands on a page: texts, how many cells each row of a table has, tags in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.rows = "", [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.rows.append([])
        elif tag == "tr":
            self.rows[-1].append(0)
        elif tag in {"td", "th"}:
            self.rows[-1][-1] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("fmr", "fnmr", "said"),
    [
        (
            Rate.of(13, 1000),
            Rate.of(179, 1000),
            "13 of 1000 strangers would be accepted, and 179 of 1000 right speakers",
        ),
        (Rate.of(1, 20_000), Rate.of(1, 2), "5 of 100000 strangers would be accepted"),
        (
            Rate.of(0, 300),
            Rate.of(1, 2),
            "at most 10 of 1000 strangers would be accepted (none of 300 was)",
        ),
    ],
)
def test_the_report_begins_with_the_rates_in_words(fmr: Rate, fnmr: Rate, said: str) -> None:
    found = evaluation().overall
    at = replace(found.shipped, fmr=fmr, fnmr=fnmr, without_threshold=0)
    sentence = lead(replace(found, shipped=at, calibrated=None))
    assert sentence.startswith("At today's thresholds ")
    assert said in sentence


def test_without_any_threshold_no_rate_is_claimed() -> None:
    found = evaluation().overall
    trials = found.shipped.fmr.trials + found.shipped.fnmr.trials
    at = replace(found.shipped, without_threshold=trials)
    assert "no threshold" in lead(replace(found, shipped=at, calibrated=None))


def test_the_page_is_whole_and_says_its_protocol_and_its_target() -> None:
    shown = Shown(page(evaluation(), {"a picture": b"png"}, "a <set>"))
    assert "Evaluation of a <set>" in shown.text
    assert "the first recording of each speaker enrolled" in shown.text
    assert "`" not in shown.text
    assert "nan" not in shown.text.lower().split()
    assert shown.tags.index("img") < shown.tags.index("table")
    assert "meta" in shown.tags
    for rows in shown.rows:
        assert len(set(rows)) == 1, rows
    for term in ("EER", "FMR", "FNMR", "minDCF", "Cllr", "actDCF", "FTA", "SNR"):
        assert term in shown.text


def test_the_rate_that_was_asked_for_has_a_row() -> None:
    found = evaluation()
    asked = replace(found.judged, targets=(0.001, 0.005))
    overall = errors(asked)
    assert 0.005 in {at.fmr for at in overall.at_fmr}
    text = page(replace(found, overall=overall, judged=asked), {}, "set")
    assert re.search(r"0\.50\u00a0%, as asked for", text)
