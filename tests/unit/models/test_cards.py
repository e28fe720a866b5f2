"""Cards are read whole, or the file and the key that is wrong are named."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.operating_points import OperatingPoint
from voiceid.errors import ConfigError, HashMismatch, ModelError
from voiceid.models.card_text import card_text, point_tables
from voiceid.models.cards import (
    LocalFile,
    ModelCard,
    Quantized,
    SelfTest,
    Windowing,
    load_cards,
    shipped_cards_folder,
)

CARDS = load_cards(shipped_cards_folder())
TEXT = (shipped_cards_folder() / "ge2e.toml").read_text(encoding="utf-8")
MEASURED = (shipped_cards_folder() / "campplus.toml").read_text(encoding="utf-8")
_TABLES = re.compile(r"(?m)^\[\[?(?:operating_points|calibration)\b.*\n(?:(?!\[).*\n)*")
ONE_POINT = "\n".join(
    [
        _TABLES.sub("", TEXT),
        *point_tables([OperatingPoint(0.001, 1.0, 0.5, 0.6, 0.0, 0.1, 3000, 9)]),
    ]
)
"""The card of ge2e with one operating point, and no calibration."""


def card_in(folder: Path, text: str, name: str = "ge2e") -> ModelCard:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return load_cards(folder)[name]


def given_as(key: str, value: str) -> str:
    """Return the card with every value of a key replaced."""
    text, count = re.subn(rf"(?m)^{key} = .*", f"{key} = {value}", ONE_POINT)
    assert count
    return text


def test_the_shipped_cards_say_what_the_project_promises() -> None:
    facts = {
        name: (card.kind, card.dim, card.windowing.describe(), card.license)
        for name, card in CARDS.items()
    }
    assert facts == {
        "campplus": ("encoder", 192, "whole", "Apache-2.0"),
        "campplus-int8": ("encoder", 192, "whole", "Apache-2.0"),
        "ge2e": ("encoder", 256, "160/77 frames, coverage 0.75", "Apache-2.0"),
        "ge2e-800ms": ("encoder", 256, "80/40 frames, coverage 0.75", "Apache-2.0"),
        "segmentation": ("segmentation", 0, "whole", "MIT"),
        "silero-vad": ("vad", 0, "whole", "MIT"),
    }


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
def test_every_shipped_card_is_complete(card: ModelCard) -> None:
    assert card.title
    assert card.attribution
    assert card.paper
    assert card.sample_rate_hz == 16_000
    if isinstance(card.source, Quantized):
        assert CARDS[card.source.base].checkpoint_sha256 == card.source.base_sha256
    else:
        assert card.source.archive_bytes > 1 << 20
    assert card.selftest.origin
    if card.kind == "encoder":
        assert len(card.selftest.output) == card.dim
        assert sum(x * x for x in card.selftest.output) == pytest.approx(1, abs=1e-4)
        assert card.operating_points
        assert card.operating_points_data
        for point in card.operating_points:
            assert 0.1 < point.threshold <= point.telephone_threshold < 1
        assert card.margin > 0
        assert card.calibration is not None
        assert card.calibration.telephone == (0.0, 1.0)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.compensation_sha256])
def test_every_shipped_compensation_is_the_one_of_its_card(name: str) -> None:
    compensation = CARDS[name].compensation()
    assert compensation is not None
    assert compensation.digest == CARDS[name].compensation_sha256
    assert compensation.dim == CARDS[name].dim
    space = CARDS[name].space("s")
    assert compensation.digest.startswith(space.compensation)
    assert space.id != space.raw.id


def test_the_card_of_the_default_model_has_a_compensation() -> None:
    assert CARDS["campplus"].compensation_sha256


def test_all_cards_and_compensations_are_in_the_package(repo: Path) -> None:
    build = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    listed = build["build"]["targets"]["wheel"]["force-include"]
    assert all(to == f"voiceid/_shipped/{of}" and (repo / of).exists() for of, to in listed.items())
    ignored = (repo / ".containerignore").read_text(encoding="utf-8")
    kept = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    assert [of for of in listed if not any(fnmatch(of, pattern) for pattern in kept)] == []
    kinds = {".toml", ".npz", ".npy"}
    files = {path for path in (repo / "models").iterdir() if path.suffix in kinds}
    assert {f"models/{path.name}" for path in files} == {
        of for of in listed if of.startswith("models/")
    }
    needed = {name for name, card in CARDS.items() if card.compensation_sha256}
    assert {path.stem for path in files if path.suffix == ".npz"} == needed
    needed = {f"{name}-overlap" for name, card in CARDS.items() if card.overlap_sha256}
    assert {path.stem for path in files if path.suffix == ".npy"} == needed == {"campplus-overlap"}


def test_the_graphs_that_are_built_alike_on_every_processor_are_pinned(models_folder: Path) -> None:
    pinned = {name: card.graph_sha256 for name, card in CARDS.items() if card.graph_sha256}
    assert pinned.keys() == {"ge2e", "ge2e-800ms", "silero-vad"}
    for name, expected in pinned.items():
        graph = (models_folder / f"{name}.onnx").read_bytes()
        assert hashlib.sha256(graph).hexdigest() == expected, "of another builder: change the card"


def test_a_later_folder_may_add_and_repeat_but_not_change_a_model(tmp_path: Path) -> None:
    card_in(tmp_path, MEASURED, "campplus")
    card_in(tmp_path, MEASURED.replace('name = "campplus"', 'name = "mine"'), "mine")
    folders = (shipped_cards_folder(), tmp_path, tmp_path / "none")
    assert load_cards(*folders).keys() == {*CARDS, "mine"}
    for old, new in (
        (r"^threshold = .*", "threshold = 0.2"),
        (r"^telephone_threshold = .*", "telephone_threshold = 0.2"),
        (r"^margin = .*", "margin = 0.0"),
        (r"^slope = .*", "slope = 90.0"),
        (r"^compensation_sha256 = .*", f'compensation_sha256 = "{"0" * 64}"'),
    ):
        text, count = re.subn(old, new, MEASURED, flags=re.MULTILINE)
        assert count
        card_in(tmp_path, text, "campplus")
        with pytest.raises(ConfigError, match="different cards") as caught:
            load_cards(*folders)
        for folder in folders[:2]:
            assert str(folder / "campplus.toml") in caught.value.message


def test_a_compensation_that_is_not_the_cards_is_not_used(tmp_path: Path) -> None:
    card = card_in(tmp_path, MEASURED, "campplus")
    assert card == CARDS["campplus"]
    path = tmp_path / "campplus.npz"
    with pytest.raises(ModelError, match=re.escape(str(path))):
        card.compensation()
    good = (shipped_cards_folder() / "campplus.npz").read_bytes()
    path.write_bytes(good)
    assert card.compensation().digest == card.compensation_sha256
    for bad in (b"", b"PK", good[:-100], good[: len(good) // 2], good + b"0" * (17 << 20)):
        path.write_bytes(bad)
        with pytest.raises(ModelError, match="cannot be read"):
            card.compensation()
    other = replace(CARDS["campplus"].compensation(), weights=np.zeros(193, np.float32))
    path.write_bytes(other.to_bytes())
    with pytest.raises(HashMismatch, match="not the compensation that the card of campplus names"):
        card.compensation()
    own = replace(card, compensation_sha256=other.digest)
    assert own.compensation().digest == other.digest
    with pytest.raises(HashMismatch):
        replace(own, dim=191).compensation()
    assert replace(card, compensation_sha256="").compensation() is None


def test_weights_that_are_not_the_cards_are_not_used(tmp_path: Path) -> None:
    card = card_in(tmp_path, MEASURED, "campplus")
    path = tmp_path / "campplus-overlap.npy"
    with pytest.raises(ModelError, match=re.escape(str(path))):
        card.overlap()
    good = (shipped_cards_folder() / path.name).read_bytes()
    for bad in (b"", good[:-4], good[:-1] + b"?"):
        path.write_bytes(bad)
        with pytest.raises(HashMismatch, match="not the file of the card of campplus"):
            card.overlap()
    path.write_bytes(good)
    weights = card.overlap()
    assert weights is not None
    assert (weights.shape, weights.dtype) == ((1025,), np.float32)
    assert CARDS["campplus-int8"].overlap() is None


def test_a_space_changes_with_everything_that_changes_vectors(tmp_path: Path) -> None:
    ids = {card.space("speech 1").id for card in CARDS.values()}
    ids.add(CARDS["ge2e"].space("speech 2").id)
    for old, new in (
        ("window_frames = 160", "window_frames = 161"),
        ("step_frames = 77", "step_frames = 76"),
        ("min_coverage = 0.75", "min_coverage = 0.7"),
        ('frontend = "ge2e-mel-40 v1"', 'frontend = "ge2e-mel-40 v2"'),
        ('member_sha256 = "3', 'member_sha256 = "4'),
    ):
        assert TEXT.count(old) == 1
        ids.add(card_in(tmp_path, TEXT.replace(old, new)).space("speech 1").id)
    assert len(ids) == len(CARDS) + 1 + 5


def test_a_space_does_not_change_with_what_leaves_vectors_alone(tmp_path: Path) -> None:
    text = TEXT.replace('title = "GE2E', 'title = "Mine').replace("margin = ", "margin = 0.1 # ")
    assert card_in(tmp_path, text).space("s") == CARDS["ge2e"].space("s")


def test_no_windows_means_the_whole_clip() -> None:
    assert Windowing().describe() == "whole"


def without(key: str) -> str:
    return re.sub(rf"(?m)^{key} = .*\n", "", TEXT, count=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name =", "cannot be read"),
        (without("dim"), "missing key dim"),
        (without("member"), "source: missing key member"),
        (without("origin"), "selftest: missing key origin"),
        (TEXT.replace("dim = 256", "dim = 256\ndims = 1"), "unknown key dims"),
        (TEXT.replace("[windowing]", "[windowing]\nhop = 1"), "windowing: unknown key hop"),
        (TEXT.replace("dim = 256", 'dim = "256"'), "dim must be of type int"),
        (TEXT.replace("dim = 256", "dim = true"), "dim must be of type int"),
        (ONE_POINT.replace("output = [", 'output = ["x",', 1), "output must be of type float"),
        (TEXT.replace("min_coverage = 0.75", 'min_coverage = "all"'), "must be of type float"),
        (TEXT.replace("[windowing]", "[[windowing]]"), "windowing must be a table"),
        (ONE_POINT.replace("[[operating_points]]", "[operating_points]"), "tables"),
        (ONE_POINT.replace("telephone_threshold = 0.6\n", ""), "missing key telephone_threshold"),
        (ONE_POINT + '\nband = "wideband"\n', "operating_points: unknown key band"),
        (ONE_POINT.replace("dim = 256", 'dim = 256\nfolder = "/"'), "unknown key folder"),
        (
            ONE_POINT + "\n[calibration]\nslope = 1.0\n",
            "the calibration cannot be used: missing key 'intercept'",
        ),
        (
            re.sub(r"telephone = \[", "telephone = [\n    0.0,", MEASURED),
            "telephone is not a range of shares within 0 to 1",
        ),
        (
            _TABLES.sub("", TEXT).replace("dim = 256", "dim = 256\ncalibration = 1"),
            "cannot be used",
        ),
        (MEASURED.replace("slope = ", "slope = -"), "the slope of the calibration is too small"),
        (
            re.sub(r"(?m)^compensation_sha256 = .*", 'compensation_sha256 = "../x"', TEXT),
            "compensation_sha256 is malformed: '../x'",
        ),
        (TEXT.replace('kind = "encoder"', 'kind = "decoder"'), "one of encoder, vad"),
        (TEXT.replace('name = "ge2e"', 'name = "../ge2e"'), "cannot be a model's name"),
        (TEXT.replace('name = "ge2e"', 'name = "ge2f"'), "not like its file"),
        (
            TEXT.replace('package = "resemblyzer"', 'package = "x\\n--pre"'),
            "source.package is malformed",
        ),
        (TEXT.replace('version = "0.1.4"', 'version = "0.1.4 ; y"'), "source.version is malformed"),
        (TEXT.replace('archive_sha256 = "8', 'archive_sha256 = "'), "archive_sha256 is malformed"),
        (TEXT.replace('member_sha256 = "3', 'member_sha256 = "G'), "member_sha256 is malformed"),
        *(
            (given_as(key, value), f"{key} is {float(value)}, but must be")
            for key, value in (
                *(
                    (key, bad)
                    for key in ("threshold", "telephone_threshold")
                    for bad in ("-1", "0", "0.09", "1.01", "nan", "-inf")
                ),
                *(("fmr", "nan"), ("target_fmr", "0.6"), ("min_net_speech_s", "-1")),
                *(("margin", "-1"), ("margin", "nan"), ("min_level_dbfs", "nan")),
            )
        ),
    ],
)
def test_a_wrong_card_is_refused_with_its_file_and_its_key(
    text: str, said: str, tmp_path: Path
) -> None:
    name = "campplus" if 'name = "campplus"' in text else "ge2e"
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        card_in(tmp_path, text, name)
    assert str(tmp_path / f"{name}.toml") in caught.value.message


@pytest.mark.parametrize(
    ("key", "ends"),
    [
        *(("margin", ("0.0", "2.0")), ("min_level_dbfs", ("-200.0", "0.0"))),
        *(("threshold", ("0.1", "1.0")), ("fmr", ("0.0", "1.0")), ("fnmr", ("0.0", "1.0"))),
        *(("target_fmr", ("1e-9", "0.5")), ("min_net_speech_s", ("0.0", "3600.0"))),
    ],
)
def test_the_ends_of_each_range_are_in_it(key: str, ends: tuple[str, str], tmp_path: Path) -> None:
    for end, beyond in zip(ends, (-1e-12, 1e-12), strict=True):
        card_in(tmp_path, given_as(key, end))
        with pytest.raises(ConfigError, match=f"{key} is"):
            card_in(tmp_path, given_as(key, repr(float(end) * (1 + 1e-12) + beyond)))


def test_a_key_of_more_parts_than_the_limit_is_refused(tmp_path: Path) -> None:
    """And one of as many is read, and not known."""
    for n, said in ((65, "unknown key a"), (66, "more than 64 parts")):
        with pytest.raises(ConfigError, match=said):
            card_in(tmp_path, f"{TEXT}\n[x]\n{'.'.join(['a'] * n)} = 1".replace("[x]", ""))


_TEXTS = st.text(st.characters(codec="utf-8"))


@given(
    texts=st.tuples(_TEXTS, _TEXTS, _TEXTS),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    local=st.booleans(),
    windows=st.booleans(),
    measured=st.booleans(),
)
def test_a_card_that_is_written_is_read_as_it_was(
    texts: tuple[str, str, str], numbers: list[float], local: bool, windows: bool, measured: bool
) -> None:
    of_points = CARDS["campplus"] if measured else CARDS["silero-vad"]
    card = replace(
        CARDS["ge2e"],
        title=texts[0],
        paper=texts[1],
        selftest=SelfTest(tuple(numbers), texts[2]),
        windowing=CARDS["ge2e"].windowing if windows else Windowing(),
        source=LocalFile(texts[2], "0" * 64) if local else CARDS["ge2e"].source,
        operating_points=of_points.operating_points,
        calibration=of_points.calibration,
        compensation_sha256=of_points.compensation_sha256,
    )
    with TemporaryDirectory() as folder:
        assert card_in(Path(folder), card_text(card)) == card


def test_a_quantized_card_with_a_range_too_few_is_refused(tmp_path: Path) -> None:
    card = CARDS["campplus-int8"]
    assert isinstance(card.source, Quantized)
    assert card_in(tmp_path, card_text(card), "campplus-int8") == card
    short = replace(card, source=replace(card.source, low=card.source.low[:-1]))
    with pytest.raises(ConfigError, match="must be of one length"):
        card_in(tmp_path, card_text(short), "campplus-int8")


def test_a_card_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ge2e.toml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_cards(tmp_path)


def test_reading_cards_loads_no_engine() -> None:
    code = (
        "import sys, voiceid.models.cards as r; r.load_cards(r.shipped_cards_folder());"
        "print({'onnxruntime', 'onnx', 'librosa', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
