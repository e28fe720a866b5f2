"""What the endings of telephone recordings mean, as Asterisk and FreeSWITCH write them."""

from __future__ import annotations

from voiceid.audio.headerless import ENDINGS, FORMATS

RATES = {
    "ulaw": 8000,
    "alaw": 8000,
    "gsm": 8000,
    "g722": 16_000,
    "g729": 8000,
    "vox": 8000,
    **{f"g726-{rate}": 8000 for rate in (16, 24, 32, 40)},
    "sln": 8000,
    "sln12": 12_000,
    "sln16": 16_000,
    "sln24": 24_000,
    "sln32": 32_000,
    "sln44": 44_100,
    "sln48": 48_000,
    "sln96": 96_000,
    "sln192": 192_000,
}


def test_each_format_has_its_rate() -> None:
    assert {name: found.rate_hz for name, found in FORMATS.items()} == RATES
    for name, rate in RATES.items():
        if "sample_rate" in FORMATS[name].options:
            assert FORMATS[name].options["sample_rate"] == str(rate)


def test_four_kinds_of_g726_have_so_many_bits_a_sample() -> None:
    bits = {name: f.options["code_size"] for name, f in FORMATS.items() if name[:4] == "g726"}
    assert bits == {"g726-16": "2", "g726-24": "3", "g726-32": "4", "g726-40": "5"}


def test_each_ending_is_of_its_format() -> None:
    assert {name: ENDINGS[name] for name in RATES} == {name: name for name in RATES}
    others = {ending: name for ending, name in ENDINGS.items() if ending not in RATES}
    assert others == {
        **dict.fromkeys(("ul", "ulw", "mulaw", "pcmu"), "ulaw"),
        **dict.fromkeys(("al", "alw", "pcma"), "alaw"),
        "sln8": "sln",
        "r8": "sln",
        "r16": "sln16",
    }
