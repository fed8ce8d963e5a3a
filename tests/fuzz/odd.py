"""Pieces of odd label files: each is written as its format says, with values that nobody expects.

Strategies of hypothesis; a file is ``bytes``, a folder maps relative names to files. `odd_json` and
`odd_trees` put the pieces together, one strategy a format.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from typing import Any

from hypothesis import strategies as st

WIDTH, HEIGHT = 48, 32
"""Of the images that the labels belong to."""
STEMS = ("image0", "image1", "image2")
Files = dict[str, bytes]


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that is rarely odd: a file of many odd values is refused for the first of them."""
    # not the last number, which hypothesis likes
    return st.integers(0, 40).flatmap(lambda n: odd if n == 33 else usual)


ODD_NUMBERS = st.sampled_from(
    [-1, 0, 1, 255, 256, 1000, 65536, 2**31, 2**62, 2**63, 10**30, 0.5, -0.0, 1e9, 1e300, float("nan")]
    + [float("inf"), float("-inf"), True]
)
ODD_VALUES = st.one_of(
    ODD_NUMBERS,
    st.sampled_from([None, "", "7", "\ud800", "\0", [], {}, [[]], [None], {"a": {}}, "1" * 400, 10**400]),
    st.integers(60, 1100).map(lambda depth: _nested(depth)),
)
ODD_TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", ".", "\ud800", "\udcff", "a\0b", "\u00b2", "x" * 300, "\u202er", "a\nb", "../up"]
    ),
    st.sampled_from(
        ["background", "_background_", "__ignore__", "NOSE", "nose ", "a:b", "a,b", "<b>&", "\x1b"]
    ),
    st.text(st.characters(exclude_categories=()), max_size=6),
)
NAMES = mostly(st.sampled_from(["nose", "eye", "ear", "beak"]), ODD_TEXTS)
IMAGES = mostly(
    st.sampled_from([f"{stem}.png" for stem in STEMS]),
    st.one_of(
        st.sampled_from(
            ["../image0.png", "/etc/image0.png", "C:\\image0.png", "a/../image0.png", ".", "a//b"]
        ),
        st.sampled_from(
            ["http://[::1", "/data/upload/1/0123abcd-image0.png", "s3://x/image0.png", "e\0.png"]
        ),
        ODD_TEXTS,
    ),
)
STEM_NAMES = mostly(
    st.sampled_from(STEMS),
    st.sampled_from(["\u00b2", "00000", "a" * 200, "\udcff", "two\nlines", "a.b", "~"]),
)
WHOLE = mostly(st.integers(0, 60), ODD_NUMBERS)
REAL = mostly(st.floats(-20, 70, width=32), ODD_VALUES)
CLASS_IDS = mostly(st.integers(0, 5), ODD_NUMBERS)
WIDTHS, HEIGHTS = (mostly(st.just(size), ODD_VALUES) for size in (WIDTH, HEIGHT))
COLORS = mostly(
    st.integers(1, 4).map(lambda v: [v] * 3), st.lists(st.integers(0, 255), max_size=4) | ODD_VALUES
)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def points(pairs: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[list[Any]]:
    """Return lists of corners, some of which have no two numbers."""
    pair = mostly(st.lists(REAL, min_size=2, max_size=2), st.lists(REAL, max_size=4))
    return st.lists(pair if pairs is None else pairs, min_size=1, max_size=6)


def members(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of these members, now and then with one missing, or one more that nobody knows."""
    whole = st.fixed_dictionaries(values)
    missing = st.tuples(whole, st.sampled_from(sorted(values))).map(
        lambda both: {key: value for key, value in both[0].items() if key != both[1]}
    )
    more = st.tuples(whole, st.dictionaries(ODD_TEXTS, ODD_VALUES, max_size=2)).map(lambda b: b[1] | b[0])
    return mostly(whole, st.one_of(missing, more))


def as_json(value: Any) -> bytes:
    """Return a value as a JSON file, as deep as it may be nested."""
    from tests.fuzz.mutate import dumped

    return dumped(value).encode()


def json_file(content: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return JSON files; some begin with a mark of their order of bytes, some are of another encoding."""
    plain = content.map(as_json)
    marked = plain.map(lambda text: b"\xef\xbb\xbf" + text)
    return mostly(plain, st.one_of(marked, plain.map(lambda t: t.decode().encode("utf-16"))))


def numbered(entries: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of these objects with ids from 1, names that mostly differ, and colours of their own."""

    def of(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        usual = [{"id": i, "color": [i, i, i]} for i in range(1, len(entries) + 1)]
        for number, each in enumerate(entries[1:], 2):
            each |= {"name": f"{each['name']}{number}"} if "name" in each else {}
        return [more | each for more, each in zip(usual, entries, strict=True)]

    return st.lists(entries, min_size=1, max_size=5).map(of)


def text_file(lines: st.SearchStrategy[str], *, most: int = 6) -> st.SearchStrategy[bytes]:
    """Return text files of these lines with the usual ends of lines, of odd ones too."""
    ends = mostly(st.just("\n"), st.sampled_from(["\r\n", "\r", "\u2028", "\x85", "\0"]))
    whole = st.tuples(mostly(st.lists(lines, min_size=1, max_size=most), st.just([])), ends).map(
        lambda both: both[1].join(both[0]) + both[1]
    )
    return whole.map(lambda text: text.encode("utf-8", "surrogatepass"))


def shown(value: Any) -> str:
    """Return a value as a text format writes it, however deep it is nested."""
    try:
        return str(value)
    except RecursionError:
        return "[[["


def csv_line(fields: list[Any]) -> str:
    """Return one line of a table, quoted where it must be."""
    stream = io.StringIO()
    csv.writer(stream).writerow([shown(field) for field in fields])
    return stream.getvalue().rstrip("\r\n")


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG with its sum: decoders believe it."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@st.composite
def png(draw: st.DrawFn, *, kinds: tuple[int, ...] = (0, 2, 3), highest: int = 4) -> bytes:
    """Return a PNG of the size of the images whose sums are right, of odd depths, sizes and chunks.

    Args:
        draw: Of hypothesis.
        kinds: Usual kinds of colour: 0 gray, 2 RGB, 3 palette.
        highest: The largest number of a pixel.
    """
    width, height = draw(
        mostly(st.just((WIDTH, HEIGHT)), st.sampled_from([(1, 1), (0, 4), (32, 48), (2, 60_000)]))
    )
    kind = draw(mostly(st.sampled_from(kinds), st.sampled_from([0, 2, 3, 4, 6, 1, 7])))
    depth = draw(mostly(st.just(8), st.sampled_from([1, 2, 4, 16, 3, 0])))
    laced = draw(mostly(st.just(0), st.integers(1, 2)))
    bits = {2: 3, 4: 2, 6: 4}.get(kind, 1) * depth
    values = draw(mostly(st.binary(min_size=1, max_size=1), st.binary(min_size=2, max_size=5)))
    row = bytes(value % (highest + 1) for value in values) * -(-width * bits // 8)
    rows = (b"\0" + row[: -(-width * bits // 8)]) * height
    data = zlib.compress(
        draw(mostly(st.just(rows), st.sampled_from([rows[:9], b"", rows * 2, b"\x09" + rows])))
    )
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, laced))]
    parts += draw(mostly(st.just([]), st.lists(odd_chunks(), min_size=1, max_size=3)))
    if kind == 3 or draw(st.integers(0, 9)) == 9:
        parts.append(chunk(b"PLTE", draw(mostly(st.just(bytes(range(256)) * 3), st.binary(max_size=8)))))
    parts.append(chunk(b"IDAT", data))
    parts += draw(mostly(st.just([]), st.lists(odd_chunks(), min_size=1, max_size=3)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + draw(mostly(st.just(chunk(b"IEND", b"")), st.just(b"")))


def odd_chunks() -> st.SearchStrategy[bytes]:
    """Return chunks of a PNG that are too short, too long or not what they say, with a sum that is right."""
    kinds = [
        b"gAMA",
        b"cHRM",
        b"tRNS",
        b"pHYs",
        b"iCCP",
        b"eXIf",
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"sRGB",
        b"acTL",
    ]
    kinds += [
        b"fcTL",
        b"fdAT",
        b"sBIT",
        b"bKGD",
        b"hIST",
        b"tIME",
        b"IHDR",
        b"IDAT",
        b"ABCD",
        b"\xff\xfe\0\1",
    ]
    contents = st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"a\0\0" + zlib.compress(bytes(3_000_000)), b"a\0\0\0\0\0" + bytes(9), b"II*\0\xff\xff\xff\xff"]
        ),
        st.just(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    )
    return st.builds(chunk, st.sampled_from(kinds), contents)


def listed_classes() -> st.SearchStrategy[bytes]:
    """Return files such as ``classes.json``."""
    colors = mostly(COLORS, st.sampled_from(["#e69f00", "#\u00b2\u00b21234", ""]))
    odd = st.lists(st.one_of(members(id=CLASS_IDS, name=NAMES, color=colors), NAMES, ODD_VALUES), max_size=6)
    usual = numbered(members(name=NAMES)) | numbered(members(name=NAMES, color=colors))
    whole = mostly(usual, odd | ODD_VALUES)
    return json_file(st.one_of(whole, whole.map(lambda value: {"classes": value})))


def dump(value: Any) -> str:
    """Return JSON in one line."""
    return json.dumps(value)
