"""The model list: cards at the left, everything about the chosen one at the right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QInputDialog,
    QMessageBox,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.services.model_library import ModelEntry, ModelLibrary
from app.services.tasks import Worker
from app.ui.pages.train.model_card import ModelListCard
from app.ui.pages.train.model_detail import ModelDetail
from app.ui.texts import plural, tr
from app.ui.widgets.basics import EmptyState, Notice, button, clear, column, label, row

MODEL_FILTER = "*.safetensors"


class ModelsView(QWidget):
    """Rename, export, import, delete and compare the models of this user."""

    trainAsked = Signal()  # noqa: N815
    said = Signal(str)

    def __init__(
        self, library: ModelLibrary, worker: Worker, compare: Callable[[str], None] | None = None
    ) -> None:
        super().__init__()
        self.library, self._worker = library, worker
        self._ask_compare = compare
        self.cards: dict[str, ModelListCard] = {}
        self._shown: tuple[ModelEntry, ...] | None = None
        self.chosen = ""
        self.count = label("", "muted")
        self.bring = button(tr("Import…"), self.ask_import, icon_name="mdi6.import")
        self.compare = button(tr("Compare…"), self._compare, icon_name="mdi6.scale-balance")
        self.problem = Notice(level="bad")
        self.problem.add_button(button(tr("Dismiss"), self.problem.hide, kind="quiet"))
        self.problem.hide()
        self.detail = ModelDetail(worker)
        self._lay_out()
        self._connect()
        self.reload()

    def _lay_out(self) -> None:
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        self._list.setContentsMargins(0, 0, 8, 0)
        inside = QWidget()
        inside.setObjectName("page")
        inside.setLayout(self._list)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        scroll.setMinimumWidth(290)
        scroll.setMaximumWidth(390)
        body = row(scroll, self.detail, spacing=16)
        body.setStretch(0, 2)
        body.setStretch(1, 5)
        full = QWidget()
        full.setLayout(body)
        train = button(
            tr("New training"), self.trainAsked.emit, kind="primary", icon_name="mdi6.school-outline"
        )
        empty = EmptyState(
            "mdi6.cube-outline",
            tr("No models yet"),
            tr("Train one on a folder of your images, or import a model file."),
            train,
        )
        self.pages = QStackedWidget()
        self.pages.addWidget(full)
        self.pages.addWidget(empty)
        head = row(
            column(label(tr("Models"), "title"), self.count, spacing=2),
            None,
            self.bring,
            self.compare,
            spacing=8,
        )
        layout = column(head, self.problem, self.pages, spacing=12)
        layout.setStretch(2, 1)
        layout.setContentsMargins(16, 4, 16, 16)
        self.setLayout(layout)

    def _connect(self) -> None:
        library, detail = self.library, self.detail
        library.changed.connect(self.reload)
        library.failed.connect(self.show_problem)
        library.imported.connect(self._imported)
        library.exported.connect(lambda path: self.said.emit(tr("Exported to {path}", path=path)))
        detail.renameAsked.connect(self.ask_rename)
        detail.exportAsked.connect(self.ask_export)
        detail.deleteAsked.connect(self.ask_delete)
        detail.described.connect(lambda values: library.describe(self.chosen, **values))

    # -- the list ----------------------------------------------------------------------------------

    def reload(self) -> None:
        """Show the models there are now; the chosen one stays chosen."""
        entries = self.library.entries()
        if entries == self._shown:
            return
        self._shown = entries
        clear(self._list)
        self.cards = {}
        for entry in entries:
            card = ModelListCard(entry, self._worker)
            card.clicked.connect(lambda model=entry.id: self.choose(model))
            self._list.addWidget(card)
            self.cards[entry.id] = card
        self._list.addStretch(1)
        self.count.setText(plural(len(entries), "{n} model", "{n} models") if entries else "")
        usable = [entry for entry in entries if not entry.problem]
        self.compare.setEnabled(len(usable) > 1 and self._ask_compare is not None)
        self.pages.setCurrentIndex(0 if entries else 1)
        if entries:
            self.choose(self.chosen if self.chosen in self.cards else entries[0].id)

    def choose(self, model_id: str) -> None:
        """Show everything about a model."""
        self.chosen = model_id
        for each, card in self.cards.items():
            card.set_selected(each == model_id)
        entry = self.library.entry(model_id)
        if entry is not None:
            self.detail.show_entry(entry)

    def show_model(self, path: Path) -> None:
        """Choose the model of a file, as soon as the list knows it."""
        self.library.refresh()
        if str(path) in self.cards:
            self.choose(str(path))
        else:
            self.chosen = str(path)

    def show_problem(self, text: str) -> None:
        """Say what could not be done."""
        self.problem.show_text(text, "bad")
        self.problem.show()

    # -- what can be done --------------------------------------------------------------------------

    def ask_import(self) -> None:
        """Let a model file be chosen; it is checked before it is taken."""
        title, kind = tr("Import a model"), tr("Models")
        path, _ = QFileDialog.getOpenFileName(self, title, "", f"{kind} ({MODEL_FILTER})")
        if path:
            self.problem.hide()
            self.library.import_model(Path(path))

    def _imported(self, model_id: str) -> None:
        self.chosen = model_id
        self.library.refresh()
        self.said.emit(tr("The model is in the list now"))
        if model_id in self.cards:
            self.choose(model_id)

    def ask_rename(self) -> None:
        """Ask for another name."""
        entry = self.library.entry(self.chosen)
        if entry is None:
            return
        name, ok = QInputDialog.getText(self, tr("Rename the model"), tr("Name"), text=entry.name)
        if ok and name.strip() and name.strip() != entry.name:
            self.problem.hide()
            self.library.rename(entry.id, name.strip())

    def ask_export(self) -> None:
        """Ask where a copy shall be written."""
        entry = self.library.entry(self.chosen)
        if entry is None:
            return
        title, kind = tr("Export the model"), tr("Models")
        path, _ = QFileDialog.getSaveFileName(self, title, entry.path.name, f"{kind} ({MODEL_FILTER})")
        if path:
            self.problem.hide()
            target = Path(path)
            self.library.export(entry.id, target if target.suffix else target.with_suffix(".safetensors"))

    def ask_delete(self) -> None:
        """Ask, then delete the file."""
        entry = self.library.entry(self.chosen)
        if entry is None or entry.builtin:
            return
        answer = QMessageBox.warning(
            self,
            tr("Delete the model"),
            tr(
                "Delete “{name}” for good? Labels it has made stay; nothing else can be propagated with it.",
                name=entry.name,
            ),
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.library.delete(entry.id)

    def _compare(self) -> None:
        if self._ask_compare is not None:
            self._ask_compare(self.chosen)
