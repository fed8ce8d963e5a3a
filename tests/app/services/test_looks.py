"""Images, thumbnails, settings, crash reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.project import Project, Result
from app.services.diagnostics import dismiss, install_crash_reporter, pending_report, version_info
from app.services.image_loader import ImageLoader, overlay_qimage, to_qimage
from app.services.recent import RecentProjects
from app.services.settings import SECTIONS, SETTINGS, Settings
from app.services.thumbnails import ThumbnailCache, ThumbnailLoader
from coordgan_core.errors import ConfigError
from tests.app.conftest import WaitUntil, write_images


@pytest.fixture
def loader(qapp: object) -> Iterator[ImageLoader]:
    made = ImageLoader(limit_bytes=3 * 48 * 32 * 3)
    yield made
    made.close()


def test_images_are_decoded_kept_and_forgotten(
    loader: ImageLoader, tmp_path: Path, wait_until: WaitUntil
) -> None:
    paths = write_images(tmp_path / "i", 5)
    told: list[int] = []
    loader.loaded.connect(lambda image, _pixels: told.append(image))
    loader.request(0, paths[0])
    wait_until(lambda: told == [0])
    pixels = loader.get(0)
    assert pixels is not None
    with Image.open(paths[0]) as image:
        assert np.array_equal(pixels, np.asarray(image))
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0
    loader.prefetch([(i, paths[i]) for i in range(1, 5)])
    wait_until(lambda: loader.get(4) is not None)
    assert told == [0]
    assert loader.get(0) is None, "the memory is limited"
    loader.request(4, paths[4])
    wait_until(lambda: told == [0, 4])


def test_unreadable_image_is_told_with_the_reason(
    loader: ImageLoader, tmp_path: Path, wait_until: WaitUntil
) -> None:
    told: list[str] = []
    loader.failed.connect(lambda _image, text: told.append(text))
    (tmp_path / "x.png").write_bytes(b"nothing")
    loader.request(1, tmp_path / "x.png")
    loader.request(2, tmp_path / "gone.png")
    wait_until(lambda: len(told) == 2)
    assert any("gone.png" in text for text in told)


def test_pictures_show_the_arrays(qapp: object) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    image = to_qimage(pixels)
    assert image.pixelColor(2, 1).getRgb()[:3] == (15, 16, 17)
    labels = np.array([[0, 1, 1], [2, 1, 1]], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (200, 100, 50)
    palette[2] = (0, 0, 255)
    overlay = overlay_qimage(labels, palette, opacity=1.0)
    assert overlay.pixelColor(0, 0).alpha() == 0
    assert overlay.pixelColor(1, 0).getRgb() == (200, 100, 50, 255)
    assert overlay.pixelColor(0, 1).getRgb() == (0, 0, 255, 255)
    assert overlay_qimage(labels, palette, hidden=frozenset({1})).pixelColor(1, 0).alpha() == 0
    contour = overlay_qimage(labels, palette, contour=True, opacity=1.0)
    assert contour.pixelColor(0, 1).alpha() == 255
    assert contour.pixelColor(2, 1).alpha() == 0


def test_thumbnails_are_made_renewed_and_show_labels(
    project: Project, tmp_path: Path, wait_until: WaitUntil
) -> None:
    loader = ThumbnailLoader(project, cache=tmp_path / "cache", threads=1)
    ready: list[int] = []
    loader.ready.connect(ready.append)
    image = int(project.ids()[0])
    assert loader.get(image, 24) is None
    wait_until(lambda: ready == [image])
    picture = loader.get(image, 24)
    assert picture is not None
    assert (picture.width(), picture.height()) == (24, 16)
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 1
    plain = picture.pixelColor(1, 1).getRgb()[:3]
    batch = project.batches.begin("propagation", "x")
    project.batches.write_result(batch, image, Result(np.full((32, 48), 1, np.uint8), score=0.5))
    loader.invalidate([image])
    old = loader.get(image, 24)
    assert old is not None, "the old one is shown while the new one is made"
    wait_until(lambda: len(ready) == 2)
    renewed = loader.get(image, 24)
    assert renewed is not None
    nose = np.array(project.classes.by_id(1).color)
    expected = 0.45 * np.array(plain) + 0.55 * nose
    assert np.abs(np.array(renewed.pixelColor(1, 1).getRgb()[:3]) - expected).max() < 4
    loader.set_overlay(False)
    loader.get(image, 24)
    wait_until(lambda: len(ready) == 3)
    bare = loader.get(image, 24)
    assert bare is not None
    assert np.abs(np.array(bare.pixelColor(1, 1).getRgb()[:3]) - plain).max() < 6, "JPEG, but without labels"
    loader.close()


def test_broken_images_get_a_null_thumbnail(project: Project, wait_until: WaitUntil) -> None:
    image = int(project.ids()[1])
    project.image_path(image).write_bytes(b"broken")
    loader = ThumbnailLoader(project)
    loader.get(image, 24)
    wait_until(lambda: loader.get(image, 24) is not None)
    assert loader.get(image, 24).isNull()  # type: ignore[union-attr]
    loader.close()


def test_requests_that_nobody_sees_are_dropped(project: Project, wait_until: WaitUntil) -> None:
    loader = ThumbnailLoader(project, threads=1)
    ids = [int(i) for i in project.ids()]
    with loader._condition:  # nobody works meanwhile
        for image in ids:
            loader.get(image, 16)
        loader.set_visible(ids[:1])
        assert {key.image_id for key in loader._waiting} == {ids[0]}
    wait_until(lambda: loader.get(ids[0], 16) is not None)
    assert loader.get(ids[5], 16) is None
    loader.close()


def test_the_thumbnail_cache_stays_below_its_limit(tmp_path: Path) -> None:
    cache = ThumbnailCache(tmp_path, 20_000)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for index in range(12):
        cache.write(str(index), noise)
    assert cache.tidy() <= 20_000
    assert cache.read("11") is not None
    assert cache.read("0") is None
    next(tmp_path.rglob("*.jpg")).write_bytes(b"damaged")
    for index in range(12):
        cache.read(str(index))


# --- settings


def test_the_table_is_consistent() -> None:
    assert len({s.key for s in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        assert setting.section in SECTIONS
        assert setting.checked(setting.default) == setting.default
        assert setting.title
        assert setting.text.endswith(".")
        if isinstance(setting.default, int | float) and not isinstance(setting.default, bool):
            assert setting.low is not None
            assert setting.high is not None


def test_settings_are_kept_and_only_differences_written(qapp: object, tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    told: list[str] = []
    settings.changed.connect(told.append)
    settings.set("canvas.opacity", 0.25)
    settings.set("canvas.opacity", 0.25)
    settings.set("general.theme", "dark")
    settings.reset("general.theme")
    settings.set_state("window", b"\0\1geometry")
    assert told == ["canvas.opacity", "general.theme", "general.theme"]
    content = json.loads((tmp_path / "config" / "settings.json").read_text())
    assert content["settings"] == {"canvas.opacity": 0.25}
    again = Settings(tmp_path)
    assert again.get("canvas.opacity") == 0.25
    assert again.state("window") == b"\0\1geometry"
    assert again.state("other") is None


@pytest.mark.parametrize("value", [2.0, -0.1, "a lot", True, None])
def test_values_that_do_not_fit_are_refused(qapp: object, tmp_path: Path, value: object) -> None:
    settings = Settings(tmp_path)
    with pytest.raises(ConfigError):
        settings.set("canvas.opacity", value)  # type: ignore[arg-type]
    assert settings.get("canvas.opacity") == 0.5


def test_damaged_settings_are_put_aside_and_wrong_values_dropped(qapp: object, tmp_path: Path) -> None:
    file = tmp_path / "config" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"settings": {"canvas.opacity": "no", "future.key": 3, "general.theme": "dark"}}')
    settings = Settings(tmp_path)
    assert settings.get("general.theme") == "dark"
    assert "canvas.opacity" in settings.problem
    settings.set("canvas.contour", True)
    assert json.loads(file.read_text())["settings"]["future.key"] == 3
    file.write_text("{half")
    settings = Settings(tmp_path)
    assert settings.problem
    assert settings.get("general.theme") == "system"
    assert (tmp_path / "config" / "settings.damaged.json").exists()


def test_recent_projects_newest_first(qapp: object, tmp_path: Path) -> None:
    recent = RecentProjects(Settings(tmp_path))
    for name in ("a", "b", "a"):
        recent.add(tmp_path / name)
    (tmp_path / "b").mkdir()
    assert [(r.name, r.exists) for r in recent.items()] == [("a", False), ("b", True)]
    recent.remove(tmp_path / "a")
    assert [r.name for r in RecentProjects(Settings(tmp_path)).items()] == ["b"]


# --- diagnostics


def test_a_crash_is_written_offered_once_and_kept(
    qapp: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Settings(tmp_path).paths
    assert pending_report(paths) is None
    reporter = install_crash_reporter(paths)
    try:
        raise ValueError("left and right were one")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    finally:
        reporter.uninstall()
    report = pending_report(paths)
    assert report is not None
    assert "left and right were one" in report.text
    assert "test_looks.py" in report.text
    assert "numpy: " in report.text
    dismiss(paths)
    assert pending_report(paths) is None
    assert report.path.exists()
    assert "left and right" in capsys.readouterr().err


def test_version_info_names_the_essentials(qapp: object) -> None:
    info = version_info()
    assert {"CoordLabel", "Python", "Qt", "Qt platform", "numpy", "torch"} <= set(info)


@pytest.mark.parametrize(
    "module",
    [
        "app.domain.project",
        "app.domain.formats",
        "app.services.session",
        "app.services.thumbnails",
        "app.services.engine",
        "app.services.propagation",
        "app.services.transfer",
    ],
)
def test_the_floors_below_the_widgets_are_light(module: str) -> None:
    heavy = "torch", "cv2", "skimage", "scipy", "PySide6.QtWidgets"
    unwanted = (*heavy, "PySide6") if module.startswith("app.domain") else heavy
    code = f"import sys, {module}; print([m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
