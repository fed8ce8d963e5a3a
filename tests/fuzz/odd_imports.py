"""Feeding odd label files: each is read, or refused with an error that names it and says what to do."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.domain.classes import ImportClasses
from app.domain.formats import FORMATS, import_labels, import_report
from app.domain.formats.base import KnownImages
from app.domain.formats.matching import loaded
from app.domain.project import Project
from coordgan_core.errors import CoordError
from tests.fuzz import odd_trees
from tests.fuzz.odd import HEIGHT, STEMS, WIDTH, Files, mostly

KNOWN = KnownImages(STEMS, lambda name: (WIDTH, HEIGHT) if PurePosixPath(name).stem in STEMS else None)
_LOADED = 8
Import = tuple[str, Files, bytes | None]
"""A format, a folder of it, and the same as an archive where there is one."""


@st.composite
def imports(draw: st.DrawFn, name: str = "") -> Import:
    """Return an odd import of a format, of any one without a name."""
    name = name or draw(st.sampled_from(sorted(odd_trees.FORMATS)))
    files = draw(odd_trees.FORMATS[name])
    zipped = name in odd_trees.PACKED and draw(mostly(st.just(False), st.just(True)))  # noqa: FBT003
    return name, files, draw(odd_trees.archive(files)) if zipped else None


def written(folder: Path, given: Import) -> Path:
    """Write an import below ``folder`` and return where it is; what no file system takes is left out."""
    _, files, packed = given
    if packed is not None:
        (folder / "source.zip").write_bytes(packed)
        return folder / "source.zip"
    root = folder / "source"
    root.mkdir()
    for name, content in files.items():
        with contextlib.suppress(OSError, ValueError):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    return root


def read(given: Import, folder: Path) -> int:
    """Read an import as the window does before anything is changed; return how many label maps it holds."""
    name = given[0]
    source = written(folder, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what reads files: a warning is no crash
        for each in FORMATS.values():
            assert 0 <= each.probe(source) <= 1
        with told(given):
            found = FORMATS[name].read(source, KNOWN)
            for label in (*found.names.values(), *(item.key for item in found.items)):
                label.encode()
            return sum(_is_label_map(given, name, item) for item in found.items[:_LOADED])
    return 0


def _is_label_map(given: Import, name: str, item: object) -> bool:
    from app.domain.formats.base import ImportItem

    assert isinstance(item, ImportItem)
    with told(given, item.key):
        json.dumps(dict(item.extras()), ensure_ascii=False).encode()
        labels = loaded(item, None)
        assert labels.ndim == 2, name
        assert labels.dtype == np.uint8, name
        return True
    return False


@functools.cache
def feeder(place: Path) -> Callable[[bytes], None]:
    """Return what reads the odd import that some bytes choose, in ``input`` below a folder."""

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(imports())
    def one(given: Import) -> None:
        read(given, emptied(place / "input"))

    feed: Callable[[bytes], None] = one.hypothesis.fuzz_one_input
    return feed


@contextlib.contextmanager
def told(given: Import, *more: str) -> Iterator[None]:
    """Let pass an error that names what it is about and says what to do, and nothing else."""
    try:
        yield
    except CoordError as error:
        parts = {part for name in given[1] for part in (name, *PurePosixPath(name).parts)}
        named = {"source", "source.zip", "project.sqlite", "classes.json", *parts, *more}
        text = str(error)
        if not any(name in text or ascii(name)[1:-1] in text for name in named if name):
            raise AssertionError(f"names no file: {text}") from error
        if not error.remedy and not error.expected:
            raise AssertionError(f"says nothing of what to do: {text}") from error


def a_project(folder: Path) -> Path:
    """Return a new project with the images that the labels belong to."""
    images = folder / "images"
    images.mkdir()
    for stem in STEMS:
        Image.new("RGB", (WIDTH, HEIGHT), "gray").save(images / f"{stem}.png")
    with Project.create(images) as project:
        list(project.scan())
        list(project.change_classes(ImportClasses(("nose",))))
    return images


def take(given: Import, images: Path, folder: Path) -> None:
    """Import into a project, take it back, and open the project again: it is as sound as before."""
    name = given[0]
    source = written(folder, given)
    before = sorted(images.parent.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Project.open(images) as project, told(given):
            import_report(project, name, source)
            for event in import_labels(project, name, source, overwrite=True):
                event.error.encode()
        with Project.open(images) as project:
            ids = [int(i) for i in project.ids()]
            assert [project.labels(i).shape for i in ids] == [(HEIGHT, WIDTH)] * len(STEMS)
            for run in project.runs()[:1]:
                list(project.exchange(run.id))
    assert sorted(images.parent.iterdir()) == before, "something was written outside of the project"


def emptied(folder: Path) -> Path:
    """Return a folder that is there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
