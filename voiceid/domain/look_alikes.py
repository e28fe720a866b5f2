"""Characters that look alike, so that no name can be mistaken for another one.

The relation is that of UTS 39 (https://www.unicode.org/reports/tr39/, confusables.txt of Unicode
10), for single characters against ASCII letters and digits, and Greek against Cyrillic.  It
compares the forms under which names are unique, which have no case: characters that look alike in
either case are alike.  Within ASCII only 0 and o, 1 and l are included: without case, Ian and Lan
would be one name.  The dotless i of Turkish is a letter of its own.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Mapping

_ALIKE: Mapping[str, str] = {
    "2": "ƨϩᒿꙅꛯꝛ",
    "3": "ȝɜʒзӡⳍꝫ𑣊𖼻",
    "4": "Ꮞ𑣏",
    "5": "ƽ𑣛",
    "6": "бᏮⳓ𑣕",
    "7": "𐓺𑣆",
    "8": "ȣ৪੪𐌚",
    "9": "৭੧୨൭ⳋꝯ𑣌𑣖",
    "a": "ɑαаᎪᗅꓮ𐊠𖽀",
    "b": "ƅβвьᏏᏴᑲᖯᗷꓐꞵ𐊂𐊡𐌁",
    "c": "σсᏟᴄⲥꓚ𐊢𐌂𐐽𐔜𑣩𑣲",
    "d": "ԁᎠᏧᑯᗞᗪꓒꓓ",
    "e": "εеҽᎬⴹꓰꬲ𐊆𑣆𑣎",
    "f": "ϝքᖴẝꓝꞙꬵ𐊇𐊥𐔥𑣂",
    "g": "ƍɡԍցᏀᏳᶃꓖ",
    "h": "ηнһհᎻᏂᕼⲏꓧ𐋏",
    "i": "ɩɪιіӏᎥꙇ𑣃",
    "j": "ʝϳјᎫᒍꓙ",
    "k": "κкᏦᛕⲕꓗ𐔘",
    "l": "1ǀɩιіӏ۱Ꮮᒪᛁⲓⳑⵏꓡꓲ𐊊𐌉𐌠𐑃𐔦𑣃𑣒𖼖𖼨",
    "m": "μϻмᎷᗰᛖⲙꓟ𐊰𐌑",
    "n": "ηνոռⲛꓠ𐔓",
    "o": "0οσоօ۵०০੦૦ଠ୦௦౦೦ഠ൦๐໐ဝ၀ჿዐᴏᴑⲟⵔ〇ꓳꬽ𐊒𐊫𐐬𐓪𐔖𑓐𑣈𑣕𑣗𑣠",
    "p": "ρрᏢᑭⲣꓑ𐊕",
    "q": "ԛգզⵕ",
    "r": "ʀгᎡᎱᏒᖇᴦⲅꓣꭇꭈ𐓜𖼵",
    "s": "ƽѕտᏕᏚꓢꜱ𐊖𐑈𑣁𖼺",
    "t": "τтᎢⲧꓔ𐊗𐊱𐌕𑣜𖼊",
    "u": "ʋυսሀᑌᴜꓴꞟꭎꭒ𐓶𑣘𖽂",
    "v": "νѵ۷Ꮩᐯᴠⴸꓦꛟ𐔝𑜆𑣀𖼈",
    "w": "ɯѡԝաᎳᏔᴡꓪ𑜊𑜎𑜏𑣦𑣯",
    "x": "χхᕁᕽᚷⲭⵝꓫꭓ𐊐𐊴𐌗𐌢𐔧𑣬",
    "y": "ɣʏγυуүყᎩᎽᶌỿⲩꓬꭚ𐊲𑣄𑣜𖽃",
    "z": "ζᏃᴢꓜ𐋵𑣄𑣉𑣥",
    "λ": "л",
    "π": "п",
    "φ": "ф",
    "ψ": "ѱ",
}
"""Folded characters, by the character that they look like."""

_LOOKS: dict[str, str] = {}
"""The look of a character: itself if it is a key above, and often another in its other case."""
for _look, _characters in _ALIKE.items():
    for _character in (_look, *_characters):
        _LOOKS[_character] = _LOOKS.get(_character, "") + _look

_ONE_LOOK = str.maketrans({char: looks for char, looks in _LOOKS.items() if len(looks) == 1})
_SEVERAL_LOOKS = _LOOKS.keys() - set(map(chr, _ONE_LOOK))
_MOST_SKELETONS = 64


def alternatives(key: str) -> Iterator[tuple[str, ...]]:
    """Yield, for each character of a name's key, those that look like it; itself is among them.

    An accent belongs to the letter before it.
    """
    for base, marks in _letters(key):
        looks = _LOOKS.get(base, (base,))
        alike = (other for look in looks for other in (look, *_ALIKE.get(look, "")))
        yield tuple(dict.fromkeys(unicodedata.normalize("NFC", c + marks) for c in alike))


def skeletons(key: str) -> set[str]:
    """Return the looks of a name's key: two keys that look alike have one in common."""
    apart = (key if key.isascii() else unicodedata.normalize("NFD", key)).translate(_ONE_LOOK)
    if _SEVERAL_LOOKS.isdisjoint(apart):
        return {apart}
    every = itertools.product(*(_LOOKS.get(character, character) for character in apart))
    return set(map("".join, itertools.islice(every, _MOST_SKELETONS)))


def _letters(key: str) -> Iterator[tuple[str, str]]:
    """Yield the characters of a key and the accents on each, apart if it looks like another."""
    position = 0
    while position < len(key):
        end = position + 1
        while end < len(key) and unicodedata.combining(key[end]):
            end += 1
        letter, position = key[position:end], end
        apart = unicodedata.normalize("NFD", letter)
        yield (apart[0], apart[1:]) if apart[0] in _LOOKS else (letter, "")
