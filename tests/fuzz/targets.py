"""What is fed: each target makes one spoilt input out of a seed, feeds it, and checks what is left.

A target may raise nothing but what it means: every error that a user can cause is a `CoordError`, which says
what was found and what to do; anything else is a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.domain.formats import FORMATS, export, import_labels, import_report
from app.domain.label_map import paint, rectangle_region
from app.domain.project import DATABASE, Commit, Project, Result
from app.domain.storage.schema import MIGRATIONS
from coordgan_core.data.images import image_size, list_images, read_image, read_reduced
from coordgan_core.errors import CoordError, ImageError
from coordgan_core.labels import read_confidence, read_label_map
from tests.faults.campaign import make_project
from tests.fuzz import mutate, samples

Target = Callable[[Path, random.Random], None]


@contextlib.contextmanager
def clear() -> Iterator[None]:
    """Let pass what says what was found; check that it does."""
    try:
        yield
    except CoordError as error:
        if not error.found.strip() or not (error.remedy or error.expected):
            raise AssertionError(f"an error that says not what to do: {error!r}") from error


def template(place: Path) -> Path:
    """Return the folder with a sound project, labelled and exported in every format; made once."""
    made = place.parent / "template"
    if not made.exists():
        part = place.parent / f"template{os.getpid()}"
        folder = make_project(part)
        with Project.open(folder) as project:
            ids = [int(i) for i in project.ids()]
            batch = project.batches.begin("propagation", "Propagate", {"model": "m"})
            result = Result(np.ones((32, 48), np.uint8), np.ones((32, 48), np.float32), 0.5, {1: 0.3})
            project.batches.write_results(batch, [(i, result) for i in ids[4:]])
            labels = project.labels(ids[0])
            edit = paint(labels, rectangle_region(1, 1, 9, 9, labels.shape), 2)
            assert edit is not None
            project.commit([Commit(project.store.next_sequence(), ids[0], "do", "Box", edit)])
            project.flush()
            for name in FORMATS:
                list(export(project, ids, name, part / "exports" / name))
        part.rename(made)
    return made


def outside(place: Path) -> set[str]:
    """Return what lies around an input: nothing may appear or vanish there."""
    found = {str(p) for p in place.parent.iterdir() if p.name.startswith(("evil", "victim"))}
    return found | {p for p in ("/evil", "/tmp/evil", "/evil.png", "/evil.jpg.png") if Path(p).exists()}


def an_image(place: Path, chance: random.Random) -> None:
    """Read one spoilt image in every way."""
    if chance.random() < 0.15:
        sizes = [(0, 0), (0, 9), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (30_000, 1), (15_000, 15_000)]
        pool = samples.claimed(*chance.choice(sizes))
    else:
        pool = samples.images_cache()
    name = chance.choice(sorted(pool))
    content = pool[name] if chance.random() < 0.1 else mutate.spoiled_bytes(pool[name], chance)
    if chance.random() < 0.2:
        name = Path(name).stem + chance.choice(
            [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".PNG", ".jfif"]
        )
    path = place / name
    path.write_bytes(content)
    limit = 200_000_000 if chance.random() < 0.02 else 4_000_000
    for work in (
        lambda: image_size(path),
        lambda: read_image(path, max_pixels=limit),
        lambda: read_image(path, max_pixels=limit, max_side=8),
        lambda: read_reduced(path, width=4, height=4, max_pixels=limit),
    ):
        try:
            found = work()
        except ImageError as error:
            if path.name not in str(error) or not error.remedy:
                raise AssertionError(f"names no file or no remedy: {error}") from error
        else:
            shape = found if isinstance(found, tuple) else found.shape[:2]
            assert min(shape) > 0, shape


def a_folder(place: Path, chance: random.Random) -> None:
    """Scan a folder of spoilt images and odd names; the sound ones among them are found all the same."""
    folder = place / "images"
    folder.mkdir()
    pool = samples.images_cache()
    (folder / "sound.png").write_bytes(pool["plain.png"])
    for number in range(4):
        name = chance.choice(sorted(pool))
        (folder / f"{number}{name}").write_bytes(mutate.spoiled_bytes(pool[name], chance))
    odd = [
        "two\nlines.png",
        "\U0001f600.png",
        "\u202eabc\u202c.png",
        "a" * 251 + ".png",
        "b" * 250 + ".gif",
        "%s.png",
    ]
    for name in chance.sample(odd, 2):
        (folder / name).write_bytes(pool["plain.png"])
    links: list[Callable[[], object]] = [
        lambda: (folder / "loop").symlink_to(folder),
        lambda: (folder / "self.png").symlink_to(folder / "self.png"),
        lambda: (folder / "gone.png").symlink_to("/nowhere/gone.png"),
        lambda: os.mkfifo(folder / "pipe.png"),
        lambda: (folder / "zero.png").symlink_to("/dev/zero"),
        lambda: (folder / "folder.png").mkdir(),
        lambda: (folder / os.fsdecode(b"\xff\xfe.png")).write_bytes(pool["plain.png"]),
    ]
    for make in chance.sample(links, 3):
        make()
    with clear():
        list_images(folder)
    with Project.create(folder) as project:
        assert list(project.scan())[-1].finished
        sound = project.find("sound.png")
        assert sound is not None
        assert (project.row(sound).width, project.row(sound).height) == (samples.WIDTH, samples.HEIGHT)
        for row in project.rows(project.ids()):
            assert row.problem or row.width > 0 or row.missing, row.path
            with clear():
                labels = project.labels(row.id)
                project.batches.write_labels(project.batches.begin("import", "x"), row.id, labels | 1)
        for name in chance.sample(sorted(FORMATS), 2):
            with clear():
                list(export(project, [int(i) for i in project.ids()], name, place / "out" / name))


def use(project: Project, place: Path, chance: random.Random) -> None:
    """Do everything that reads a project, and some of what writes it."""
    ids: list[int] = []
    for work in (
        lambda: list(project.scan()),
        lambda: ids.extend(int(i) for i in project.ids()),
        lambda: project.rows(ids),
        lambda: project.counts(),
        lambda: project.runs(),
        lambda: [project.labels(i) for i in ids],
        lambda: [project.provenance(i) for i in ids],
        lambda: [project.confidence(i) for i in ids],
        lambda: [project.edit(row[0]) for i in ids for row in project.store.history(i)],
        lambda: [list(project.exchange(run.id)) for run in project.runs()[:3]],
        lambda: project.set_status(ids[:2], chance.choice(list(project.counts()))),
        lambda: list(export(project, ids, chance.choice(sorted(FORMATS)), place / "out")),
        lambda: project.flush(),
    ):
        with clear():
            work()  # type: ignore[no-untyped-call]


def a_database(place: Path, chance: random.Random) -> None:
    """Open a project whose database was spoilt, byte by byte or value by value, and use it."""
    shutil.copytree(template(place) / "images", place / "images")
    shutil.copytree(template(place) / "project", place / "project")
    file = place / "project" / DATABASE
    if chance.random() < 0.4:
        file.write_bytes(mutate.spoiled_bytes(file.read_bytes(), chance))
    else:
        _spoil_rows(file, chance)
    if chance.random() < 0.3:
        mutate.spoil_tree(place / "project", chance)
    before = outside(place)
    project = None
    with clear():
        project = Project.open(place / "project", read_only=chance.random() < 0.1)
    if project is not None:
        try:
            use(project, place, chance)
        finally:
            project.close()
    assert outside(place) == before, "something was written outside of the project"
    if project is None:  # what can be mended is mended as the error says
        for each in file.parent.glob(f"{DATABASE}*"):
            if each.is_file():
                each.unlink()


def _spoil_rows(file: Path, chance: random.Random) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        tables = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(chance.choice([1, 2, 6])):
            table = chance.choice(tables)
            columns = [r[1] for r in connection.execute(f"PRAGMA table_info({table})")]
            value: Any = mutate.nasty(chance)
            if chance.random() < 0.2:
                value = chance.choice(
                    ["../../../evil.jpg", "/evil.jpg", b"\0\1\2", "x" * 100_000, "{}", "[1, 2"]
                )
            if not isinstance(value, int | float | str | bytes | None) or (
                isinstance(value, int) and not -(2**63) <= value < 2**63
            ):
                value = str(value)
            some = chance.choice(
                ["", " WHERE rowid % 2", " LIMIT 1"] if False else ["", " WHERE random() % 2"]
            )
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                connection.execute(f"UPDATE {table} SET {chance.choice(columns)} = ?{some}", (value,))
        if chance.random() < 0.1:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("CREATE TRIGGER t AFTER UPDATE ON images BEGIN DELETE FROM images; END")
        connection.execute(f"PRAGMA user_version={chance.choice([len(MIGRATIONS)] * 8 + [0, 1, 2, 99])}")
        connection.commit()


def a_label_map(place: Path, chance: random.Random) -> None:
    """Read a spoilt label map."""
    pool = samples.label_maps()
    content = pool[chance.choice(sorted(pool))]
    path = place / "labels.png"
    path.write_bytes(content if chance.random() < 0.1 else mutate.spoiled_bytes(content, chance))
    with clear():
        labels = read_label_map(path)
        assert labels.ndim == 2
        assert labels.dtype == np.uint8
    with clear():
        confidence = read_confidence(path)
        assert 0 <= confidence.min() <= confidence.max() <= 1


def an_import(place: Path, chance: random.Random) -> None:
    """Import a spoilt folder or archive; the project stays sound, nothing is written outside."""
    name = chance.choice(sorted(FORMATS))
    source = place / "source"
    shutil.copytree(template(place) / "exports" / name, source)
    shutil.copytree(template(place) / "images", place / "images")
    shutil.copytree(template(place) / "project", place / "project")
    mutate.spoil_tree(source, chance)
    if chance.random() < 0.25:
        source = _archive(source, chance)
    before = outside(place)
    reader = name if chance.random() < 0.85 else chance.choice(sorted(FORMATS))
    for each in FORMATS.values():
        assert 0 <= each.probe(source) <= 1
    with Project.open(place / "project") as project:
        with clear():
            import_report(project, reader, source)
        with clear():
            list(import_labels(project, reader, source, overwrite=chance.random() < 0.5))
        ids = [int(i) for i in project.ids()]
        assert len(ids) == 8
        for image in ids:
            assert project.labels(image).shape == (32, 48)
        for run in project.runs()[:1]:
            list(project.exchange(run.id))
    assert outside(place) == before, "something was written outside of the project"


def an_odd_import(place: Path, chance: random.Random) -> None:
    """Read label files that are built as their formats say, out of odd values; see `odd_trees`."""
    from tests.fuzz import odd_imports

    odd_imports.feeder(place.parent)(chance.randbytes(chance.choice([200, 1000, 4000])))


def _archive(source: Path, chance: random.Random) -> Path:
    """Return a zip file of a folder with harmful names, links and claims in it."""
    target = source.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()):
            name = path.relative_to(source).as_posix()
            if chance.random() < 0.1:
                name = chance.choice(mutate.PLACES) + path.suffix
            archive.write(path, name)
        if chance.random() < 0.3:
            link = zipfile.ZipInfo("link.png")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
        if chance.random() < 0.2:
            archive.writestr("bomb.png", bytes(50_000_000))
    if chance.random() < 0.4:
        target.write_bytes(mutate.spoiled_bytes(target.read_bytes(), chance))
    return target


def a_round_trip(place: Path, chance: random.Random) -> None:
    """Export images of odd names with classes of odd names in a format, and import them again."""
    folder = place / "images"
    folder.mkdir()
    odd = [
        "two\nlines",
        "\U0001f600" * 60,
        "\u202eabc\u202c",
        "a" * 251,
        "..a",
        "CON",
        "a.b.c",
        "x'\"<&>",
        " lead",
        "~",
    ]
    for number, stem in enumerate(chance.sample(odd, 3)):
        with contextlib.suppress(OSError):
            Image.new("RGB", (24 + number, 16)).save(folder / f"{stem}.png", "PNG")
    name = chance.choice(sorted(FORMATS))
    classes = chance.sample(
        ["a/b", "../up", "\U0001f600", "x" * 300, "<b>&", "line\nbreak", "com1", "\u202er"], 3
    )
    from app.domain.classes import ImportClasses

    with Project.create(folder, place / "project") as project:
        list(project.scan())
        with clear():
            list(project.change_classes(ImportClasses(tuple(classes))))
        ids = [int(i) for i in project.ids()]
        for image in ids:
            labels = project.labels(image)
            labels[4:12, 4:14] = project.classes.ids[1 + chance.randrange(len(project.classes.ids) - 1)]
            project.batches.write_labels(project.batches.begin("import", "x"), image, labels)
        wanted = {i: FORMATS[name].held(project.labels(i), project.classes) for i in ids}
        list(export(project, ids, name, place / "out"))
        list(import_labels(project, name, place / "out", overwrite=True))
        for image, labels in wanted.items():
            found = project.labels(image)
            assert np.array_equal(found > 0, labels > 0), f"{name} loses {project.row(image).path!r}"


def some_texts(place: Path, chance: random.Random) -> None:
    """Read spoilt small files and strange searches."""
    from app.domain.classes import read_label_list
    from app.domain.place import find_project, images_of
    from app.domain.search import SearchError, complete, parse
    from coordgan_core.labels import LabelClasses

    words = [
        "status:",
        "score:",
        "label:",
        "is:",
        "name:",
        "-",
        "<0.7",
        ">=",
        "*",
        '"',
        "nose",
        *mutate.TEXTS,
        "1e999",
    ]
    text = "".join(chance.choice(words) for _ in range(chance.randrange(8)))
    with (
        Project.open(template(place) / "project", read_only=True) as project,
        contextlib.suppress(SearchError),
    ):
        parse(text)
        project.ids(text)
    complete(text, chance.randrange(len(text) + 1), ["nose", "eye"])
    file = place / "list.txt"
    file.write_bytes(mutate.spoiled_bytes("nose\neye\n# x\n\u00e9\n".encode() * 3, chance))
    with clear():
        read_label_list(file)
    classes = json.dumps([{"id": 0, "name": "background"}, {"id": 3, "name": "nose", "color": "#ff0000"}])
    file.write_bytes(mutate.spoiled_json(classes.encode(), chance))
    with clear():
        LabelClasses.load(file)
    (place / "project.json").write_bytes(mutate.spoiled_json(b'{"format": 1, "images": ".."}', chance))
    with clear():
        assert find_project(place) is not None
        images_of(place)


TARGETS: Mapping[str, Target] = {
    "image": an_image,
    "folder": a_folder,
    "database": a_database,
    "label map": a_label_map,
    "import": an_import,
    "odd import": an_odd_import,
    "round trip": a_round_trip,
    "text": some_texts,
}
"""What needs no PyTorch; `tests.fuzz.models` adds model files, runs and messages."""
