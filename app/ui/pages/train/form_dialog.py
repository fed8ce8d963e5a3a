"""All fields of a training: by group or by search, the usual ones or all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.services.training_values import FieldInfo
from app.services.translations import mark
from app.ui.dialogs.base import Dialog
from app.ui.pages.train.form import FieldRow, Fields
from app.ui.texts import plural, tr
from app.ui.widgets.basics import Notice, button, clear, column, label, line, row

_SHOWN = 60
"""Rows that a search shows; a longer list is no answer."""


_GROUPS = {
    "model": mark("Model"),
    "model.mapping": mark("Mapping networks"),
    "model.warp": mark("Warping network"),
    "model.patch": mark("Patch discriminator"),
    "train": mark("Training run"),
    "train.embedding": mark("Embedding: training"),
    "train.joint": mark("Joint training"),
    "train.gan": mark("Adversarial training"),
    "train.encoder": mark("Encoder: training"),
}


def group_name(group: str) -> str:
    """Return a short name of a group of fields."""
    known = _GROUPS.get(group)
    if known is not None:
        return tr(known)
    words = group.rpartition(".")[2].replace("_", " ")
    return words[:1].upper() + words[1:]


def matching(infos: tuple[FieldInfo, ...], query: str) -> list[FieldInfo]:
    """Return the fields in whose name, key or explanation every word occurs; names before explanations."""
    words = query.lower().split()

    def rank(info: FieldInfo) -> int | None:
        name = f"{info.label} {info.key}".lower()
        everything = f"{name} {info.help} {info.group_title}".lower()
        if all(word in name for word in words):
            return 0
        return 1 if all(word in everything for word in words) else None

    ranked = [(found, place) for place, info in enumerate(infos) if (found := rank(info)) is not None]
    return [infos[place] for _, place in sorted(ranked)]


class FormDialog(Dialog):
    """Edits a copy of the changes; `changes` is what came of it.

    Args:
        infos: All fields of the preset.
        changes: What differs from the preset.
        problem: Says what is wrong with changes as a whole, "" for nothing.
        title: Name of the preset.
    """

    def __init__(
        self,
        infos: tuple[FieldInfo, ...],
        changes: dict[str, Any],
        problem: Callable[[dict[str, Any]], str],
        title: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(tr("Settings of the training"), tr("Starting from {preset}.", preset=title), parent)
        self.fields = Fields(self)
        self.fields.take(infos, changes)
        self._problem = problem
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search all settings"))
        self.search.setAccessibleName(tr("Search all settings"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._show)
        self.advanced = QCheckBox(tr("All settings"))
        self.advanced.setToolTip(tr("Also the ones that few people change"))
        self.advanced.toggled.connect(self._fill_groups)
        self.groups = QListWidget()
        self.groups.setAccessibleName(tr("Groups of settings"))
        self.groups.setStyleSheet("background: transparent;")
        self.groups.setFixedWidth(210)
        self.groups.currentRowChanged.connect(self._show)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(0)
        inside = QWidget()
        inside.setObjectName("page")
        inside.setLayout(self._rows)
        self._rows.setContentsMargins(0, 0, 10, 0)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inside)
        self.notice = Notice(level="bad")
        self.notice.hide()
        self.reset = button(tr("Reset all to the preset"), self.fields.reset, kind="quiet")
        self._lay_out(scroll)
        self.fields.changed.connect(lambda _key: self._check())
        self._fill_groups()
        self._check()
        self.search.setFocus()
        self.resize(900, 640)

    def _lay_out(self, scroll: QScrollArea) -> None:
        left = column(self.groups, self.advanced, spacing=10)
        body = row(left, scroll, spacing=20)
        body.setStretch(1, 1)
        layout = column(self.search, body, self.notice, spacing=12)
        layout.setStretch(1, 1)
        self.finish(layout, tr("Use these"))
        self._layout.itemAt(self._layout.count() - 1).layout().insertWidget(0, self.reset)  # type: ignore[union-attr]

    def _offered(self) -> list[FieldInfo]:
        everything = self.advanced.isChecked()
        return [i for i in self.fields.infos if i.basic or i.key in self.fields.changes or everything]

    def _fill_groups(self) -> None:
        current = self.groups.currentItem()
        before = current.data(Qt.ItemDataRole.UserRole) if current is not None else None
        self.groups.blockSignals(True)  # noqa: FBT003
        self.groups.clear()
        titles = {info.group: info for info in self._offered()}
        for group, info in titles.items():
            item = QListWidgetItem(group_name(group))
            item.setData(Qt.ItemDataRole.UserRole, group)
            item.setToolTip(info.group_title)
            item.setSizeHint(QSize(190, 34))
            self.groups.addItem(item)
        self.groups.blockSignals(False)  # noqa: FBT003
        places = list(titles)
        self.groups.setCurrentRow(places.index(before) if before in places else 0)
        self._show()

    def _show(self) -> None:
        """Build the rows of the group or of the search."""
        query = self.search.text().strip()
        self.groups.setEnabled(not query)
        if query:
            shown = matching(self.fields.infos, query)
        else:
            item = self.groups.currentItem()
            group = item.data(Qt.ItemDataRole.UserRole) if item is not None else ""
            shown = [info for info in self._offered() if info.group == group]
        clear(self._rows)
        if not shown:
            self._rows.addWidget(label(tr("No setting is called like that."), "muted"))
        before = ""
        for info in shown[:_SHOWN]:
            if info.group != before:
                self._rows.addSpacing(12 if before else 0)
                self._rows.addWidget(label(info.group_title, "section", wrap=True))
                self._rows.addSpacing(4)
            else:
                self._rows.addWidget(line())
            before = info.group
            self._rows.addWidget(FieldRow(self.fields, info))
        self._rows.addStretch(1)

    def _check(self) -> None:
        wrong = next(iter(self.fields.wrong.values()), "")
        text = wrong and tr("One field cannot be used: {reason}", reason=wrong)
        text = text or self._problem(self.fields.changes)
        self.notice.show_text(text, "bad")
        self.notice.setVisible(bool(text))
        self.primary.setEnabled(not text)
        count = len(self.fields.changes)
        self.reset.setEnabled(bool(count or self.fields.wrong))
        self.primary.setText(
            tr("Use these") if not count else plural(count, "Use {n} change", "Use {n} changes")
        )

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the preset now."""
        return dict(self.fields.changes)
