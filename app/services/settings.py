"""Settings as a table: the dialog, the defaults, the checks and the documentation come from it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services.translations import mark
from coordgan_core.errors import ConfigError, CoordError
from coordgan_core.files import write_json

Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        key: ``section.name``; never changes.
        default: Its type is the setting's type.
        title: What the dialog calls it.
        text: What it does, in a sentence.
        low: Smallest number.
        high: Largest number.
        unit: Of a number.
        choices: All values a text may have, with their titles.
        restart: Whether it only holds from the next start on.
    """

    key: str
    default: Value
    title: str
    text: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: Mapping[str, str] | None = None
    restart: bool = False

    @property
    def section(self) -> str:
        """The part of the key before the dot."""
        return self.key.partition(".")[0]

    def checked(self, value: Any) -> Value:
        """Return ``value`` if it fits.

        Raises:
            ConfigError: It has another type or lies out of range.
        """
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise self._refused(value, f"a value of type {wanted.__name__}")
        if self.choices is not None and value not in self.choices:
            raise self._refused(value, "one of " + ", ".join(self.choices))
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.low, self.high
            if (low is not None and value < low) or (high is not None and value > high):
                raise self._refused(value, f"a value from {low} to {high}")
        checked: Value = value
        return checked

    def _refused(self, value: Any, expected: str) -> ConfigError:
        return ConfigError(f"the setting {self.key} is {value!r}", expected=expected, remedy=self.text)


SECTIONS: Mapping[str, str] = {
    "general": mark("General"),
    "canvas": mark("Canvas"),
    "browser": mark("Image list"),
    "saving": mark("Saving"),
    "engine": mark("Engine"),
    "review": mark("Review"),
    "keys": mark("Keys"),
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "general.theme",
        "system",
        mark("Theme"),
        mark("Light, dark, or as the system."),
        choices={"system": mark("As the system"), "light": mark("Light"), "dark": mark("Dark")},
    ),
    Setting(
        "general.language",
        "",
        mark("Language"),
        mark("Empty follows the system."),
        choices={"": mark("As the system"), "en": "English"},
        restart=True,
    ),
    Setting(
        "general.reopen",
        False,
        mark("Reopen the last project"),
        mark("Open at start what was open at the end."),
    ),
    Setting(
        "canvas.opacity",
        0.5,
        mark("Overlay opacity"),
        mark("How strongly label maps cover the image."),
        low=0.0,
        high=1.0,
    ),
    Setting(
        "canvas.contour",
        False,
        mark("Contours only"),
        mark("Draw the borders of the parts instead of their areas."),
    ),
    Setting(
        "canvas.brush_px",
        20.0,
        mark("Brush size"),
        mark("Diameter of the brush."),
        low=1.0,
        high=2000.0,
        unit="px",
    ),
    Setting(
        "canvas.wand_tolerance",
        16,
        mark("Wand tolerance"),
        mark("How far colours may differ."),
        low=0,
        high=255,
    ),
    Setting(
        "canvas.superpixel_px",
        20,
        mark("Superpixel size"),
        mark("Side of a superpixel, about."),
        low=4,
        high=400,
        unit="px",
    ),
    Setting(
        "canvas.pixel_grid",
        8.0,
        mark("Pixel grid from"),
        mark("Zoom from which the borders of pixels are drawn."),
        low=2.0,
        high=64.0,
    ),
    Setting(
        "canvas.smooth_zoom",
        True,
        mark("Smooth when zoomed out"),
        mark("Average pixels instead of leaving some out."),
    ),
    Setting(
        "browser.thumbnail_px",
        128,
        mark("Thumbnail size"),
        mark("Side of a thumbnail."),
        low=32,
        high=512,
        unit="px",
    ),
    Setting(
        "browser.overlay",
        True,
        mark("Labels on thumbnails"),
        mark("Draw the label map over each thumbnail."),
    ),
    Setting(
        "browser.cache_mb",
        512,
        mark("Thumbnail cache"),
        mark("Space that thumbnails may take on disk."),
        low=16,
        high=65536,
        unit="MB",
    ),
    Setting(
        "saving.undo_mb",
        256,
        mark("Memory for undo"),
        mark("Older steps stay on disk and remain undoable."),
        low=16,
        high=16384,
        unit="MB",
    ),
    Setting(
        "saving.flush_sec",
        5.0,
        mark("Write label files after"),
        mark("Pause after which the PNG follows the journal; strokes themselves are saved at once."),
        low=0.5,
        high=600.0,
        unit="s",
    ),
    Setting(
        "saving.image_cache_mb",
        1024,
        mark("Memory for images"),
        mark("Decoded images that are kept to switch quickly."),
        low=128,
        high=65536,
        unit="MB",
    ),
    Setting(
        "engine.device",
        "auto",
        mark("Device"),
        mark("Where models are computed."),
        choices={"auto": mark("Automatic"), "cpu": mark("Processor"), "cuda": mark("Graphics card")},
    ),
    Setting(
        "engine.precision",
        "auto",
        mark("Arithmetic"),
        mark("Lower precision is faster on graphics cards."),
        choices={"auto": mark("Automatic"), "float32": "float32", "bfloat16": "bfloat16"},
    ),
    Setting(
        "engine.models_folder",
        "",
        mark("Own models"),
        mark("A further folder in which models are looked for."),
    ),
    Setting(
        "engine.gpu_index",
        "https://download.pytorch.org/whl",
        mark("Index of GPU builds"),
        mark("Where PyTorch for graphics cards is fetched from, when you ask for it under Hardware."),
    ),
    Setting(
        "engine.hang_sec",
        60.0,
        mark("Restart the engine after"),
        mark("Silence after which the engine counts as hanging."),
        low=5.0,
        high=3600.0,
        unit="s",
    ),
    Setting(
        "review.heat_map",
        True,
        mark("Heat map in review"),
        mark("Show where the labels are uncertain."),
    ),
    Setting(
        "review.linked_cursor",
        True,
        mark("Linked cursor"),
        mark("Show on the reference what lies under the cursor."),
    ),
    Setting(
        "keys.preset",
        "own",
        mark("Key preset"),
        mark("Keys as in other programs."),
        choices={"own": "CoordLabel", "labelme": "labelme", "cvat": "CVAT"},
    ),
)
_BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Paths:
    """Where the application keeps its own files."""

    config: Path
    cache: Path
    data: Path
    logs: Path

    @property
    def models(self) -> Path:
        """Models that the user has added or trained."""
        return self.data / "models"

    @classmethod
    def of(cls, profile: Path | None) -> Paths:
        """Return the places of the platform, or all below the folder ``profile``."""
        if profile is not None:
            root = profile.expanduser().absolute()
            return cls(root / "config", root / "cache", root / "data", root / "logs")
        import appdirs

        name, author = "coordlabel", "coordlabel"
        return cls(
            Path(appdirs.user_config_dir(name, author)),
            Path(appdirs.user_cache_dir(name, author)),
            Path(appdirs.user_data_dir(name, author)),
            Path(appdirs.user_log_dir(name, author)),
        )


class Settings(QObject):
    """The values of the settings, kept in ``settings.json``; only what differs from the default is written.

    Args:
        profile: Folder that holds all state of the application; None for the platform's places.
        parent: Qt parent.
    """

    changed = Signal(str)
    """Key of a setting that has another value now."""

    def __init__(self, profile: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.paths = Paths.of(profile)
        self.problem = ""
        """What was wrong with the file at start; empty if nothing."""
        self._file = self.paths.config / "settings.json"
        self._content: dict[str, Any] = {"settings": {}, "state": {}, "lists": {}}
        self._load()

    def get(self, key: str) -> Any:
        """Return the value of a setting."""
        setting = _BY_KEY[key]
        return self._content["settings"].get(key, setting.default)

    def set(self, key: str, value: Value) -> None:
        """Change a setting and write it.

        Raises:
            ConfigError: The value does not fit.
        """
        setting = _BY_KEY[key]
        checked = setting.checked(value)
        if checked == self.get(key):
            return
        if checked == setting.default:
            self._content["settings"].pop(key, None)
        else:
            self._content["settings"][key] = checked
        self._save()
        self.changed.emit(key)

    def reset(self, key: str) -> None:
        """Give a setting its default."""
        self.set(key, _BY_KEY[key].default)

    def state(self, key: str) -> bytes | None:
        """Return remembered bytes (the geometry of a window), None if there are none."""
        text = self._content["state"].get(key)
        try:
            return base64.b64decode(text, validate=True) if isinstance(text, str) else None
        except binascii.Error:
            return None

    def set_state(self, key: str, value: bytes) -> None:
        """Remember bytes."""
        self._content["state"][key] = base64.b64encode(bytes(value)).decode()
        self._save()

    def items(self, key: str) -> list[Any]:
        """Return a remembered list (recent projects, saved searches, own keys)."""
        found = self._content["lists"].get(key, [])
        return list(found) if isinstance(found, list) else []

    def set_items(self, key: str, items: list[Any]) -> None:
        """Remember a list of plain JSON values."""
        self._content["lists"][key] = items
        self._save()

    def _load(self) -> None:
        if not self._file.exists():
            return
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            for part, kept in self._content.items():
                kept.update(content.get(part, {}))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            self.problem = f"The settings file could not be read ({error}); defaults are used."
            with contextlib.suppress(OSError):
                self._file.replace(self._file.with_suffix(".damaged.json"))
            return
        values = self._content["settings"]
        for key in list(values):
            try:
                values[key] = _BY_KEY[key].checked(values[key])
            except KeyError:
                continue  # of another version: kept as it is
            except ConfigError as error:
                self.problem = str(error)
                del values[key]

    def _save(self) -> None:
        try:
            write_json(self._file, self._content)
        except (CoordError, OSError) as error:
            self.problem = f"The settings could not be saved: {error}"
