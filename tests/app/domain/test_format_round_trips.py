"""Every format, with every choice, gives back what it says it holds: the real files against `Format.held`."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from app.domain.classes import ClassTable, table_from_names
from app.domain.formats import FORMATS, guess
from app.domain.formats.base import ExportItem, ExportOptions, KnownImages, Source

NAMES = ["l eye", "nose", "l_eye", "Mund/Lippe", "a:b", "<&\"'>", "#7", "größe 目"]
CASES = [
    (name, dict(zip((c.key for c in each.choices), values, strict=True)))
    for name, each in sorted(FORMATS.items())
    for values in itertools.product(*(c.values for c in each.choices))
]
sizes = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.just(1), st.integers(1, 30)),
    st.tuples(st.integers(1, 30), st.just(1)),
)


@pytest.fixture(autouse=True, scope="module")
def _unsynced() -> Iterator[None]:
    """Hundreds of small files: that they reach the disk is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def written(folder: Path, name: str, labels: np.ndarray, table: ClassTable, options: ExportOptions) -> Source:
    image = folder / "x_1.png"
    Image.new("RGB", (labels.shape[1], labels.shape[0])).save(image)
    item = ExportItem(1, "x_1.png", "x_1", image, lambda: labels)
    out = folder / "out"
    results = list(FORMATS[name].write(out, [item], table, options))
    assert [r.item for r in results] == [item]
    there = {f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()}
    present = [int(i) for i in np.unique(labels) if i]
    promised = {*FORMATS[name].files(item, present, table, options), *FORMATS[name].common_files(options)}
    assert there == promised
    assert set(results[0].files) <= there
    assert guess(out) == name
    return FORMATS[name].read(out, KnownImages(["x_1"], lambda _: (labels.shape[1], labels.shape[0])))


def in_project_ids(source: Source, table: ClassTable) -> np.ndarray:
    """The label map of the only item, classes found again by the names that a person would see."""
    back = source.items[0].load()
    assert back.dtype == np.uint8
    mapped = np.zeros_like(back)
    for source_id in np.unique(back):
        if source_id:
            name = source.names[int(source_id)]
            found = table.by_name(name) or next(
                c for c in table.classes if c.name.replace(":", "_").strip("#") == name
            )
            mapped[back == source_id] = found.id
    return mapped


def check(name: str, choices: dict[str, str], labels: np.ndarray, names: list[str]) -> None:
    table, options = table_from_names(names), ExportOptions(choices=choices)
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder), name, labels, table, options)
        assert [Path(i.key).stem for i in source.items] == ["x_1"]
        held = FORMATS[name].held(labels.copy(), table, options)
        back = in_project_ids(source, table)
        del source
    assert np.array_equal(back, held), (back, held)


@pytest.mark.parametrize(("name", "choices"), CASES, ids=[f"{n}-{'-'.join(c.values())}" for n, c in CASES])
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_format_gives_back_what_it_says_it_holds(
    name: str, choices: dict[str, str], data: st.DataObject
) -> None:
    ids = data.draw(st.sampled_from([[0, 1], [0, 1, 2], list(range(len(NAMES) + 1))]))
    labels = data.draw(sizes.flatmap(lambda s: arrays.arrays(np.uint8, s, elements=st.sampled_from(ids))))
    check(name, choices, labels, NAMES)


def many_classes() -> np.ndarray:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return np.kron(labels, np.ones((2, 3), np.uint8))


def shapes() -> np.ndarray:
    """Holes in holes, islands, single pixels, diagonal neighbours, all borders."""
    labels = np.zeros((40, 50), np.uint8)
    labels[5:35, 5:40] = 1
    labels[10:30, 10:35] = 2
    labels[12:28, 12:33] = 0
    labels[15:25, 15:30] = 3
    labels[18, 18] = labels[20, 20] = labels[21, 21] = labels[22, 20] = 0
    labels[0], labels[-1], labels[:, 0], labels[:, -1] = 4, 5, 6, 7
    labels[2, 44] = labels[3, 45] = labels[4, 44] = 8
    labels[36:39, 43:46] = 1
    labels[37, 44] = 0
    return labels


@pytest.mark.parametrize(("name", "choices"), CASES, ids=[f"{n}-{'-'.join(c.values())}" for n, c in CASES])
def test_holes_islands_and_borders(name: str, choices: dict[str, str]) -> None:
    check(name, choices, shapes(), NAMES)


@pytest.mark.parametrize(("name", "choices"), CASES, ids=[f"{n}-{'-'.join(c.values())}" for n, c in CASES])
def test_255_classes(name: str, choices: dict[str, str]) -> None:
    check(name, choices, many_classes(), [f"part {i}" for i in range(1, 256)])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_lose_nothing_by_default(name: str) -> None:
    table = table_from_names(NAMES)
    assert np.array_equal(FORMATS[name].held(shapes(), table), shapes())


def test_filled_holes_are_said_to_be_lost() -> None:
    labels = np.ones((9, 9), np.uint8)
    labels[3:6, 3:6] = 0
    labels[4, 4] = 2
    table = table_from_names(["a", "b"])
    held = FORMATS["yolo-seg"].held(labels, table, ExportOptions(choices={"holes": "fill"}))
    assert held[3, 3] == 1
    assert held[4, 4] == 2
