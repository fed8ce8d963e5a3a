"""Everything about one model: samples, figures, facts; what the owner may write into its card."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLineEdit, QScrollArea, QWidget

from app.services.model_library import ModelEntry
from app.services.tasks import Worker
from app.services.translations import mark
from app.ui.pages.train.flow import FlowLayout
from app.ui.pages.train.model_card import facts_of
from app.ui.pages.train.picture import Picture
from app.ui.texts import tr
from app.ui.widgets.basics import Notice, button, clear, column, label, row
from app.ui.widgets.figures import figure_text, figure_title
from app.ui.widgets.research import research_text

_EDITABLE = (
    ("category", mark("Category"), mark("what the images show")),
    ("description", mark("Description"), mark("what the model is good for")),
    ("licence", mark("Licence"), mark("terms of use")),
)


class ModelDetail(QFrame):
    """The card of the chosen model."""

    renameAsked = Signal()  # noqa: N815
    exportAsked = Signal()  # noqa: N815
    deleteAsked = Signal()  # noqa: N815
    described = Signal(object)
    """{field of the card: text} that the person changed."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._entry: ModelEntry | None = None
        self.name = label("", "heading")
        self.rename = button(tr("Rename…"), self.renameAsked.emit, icon_name="mdi6.rename-outline")
        self.export = button(tr("Export…"), self.exportAsked.emit, icon_name="mdi6.export-variant")
        self.delete = button(tr("Delete…"), self.deleteAsked.emit, icon_name="mdi6.delete-outline")
        self.problem = Notice(level="warn")
        self.research = Notice(level="warn")
        self.description = label("", "muted", wrap=True)
        self.strip = Picture(
            worker,
            tr("Samples"),
            align=Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop,
            least=QSize(200, 60),
        )
        self.no_strip = label(tr("This model has no samples in its card."), "faint")
        self._figures_part = QWidget()
        self._figures = FlowLayout(self._figures_part, spacing=8)
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(20)
        self._facts.setVerticalSpacing(6)
        self._facts.setColumnStretch(1, 1)
        self._facts.setColumnStretch(3, 1)
        self._lay_out(self._make_editors())

    def _make_editors(self) -> QWidget:
        self.editors: dict[str, QLineEdit] = {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(label(tr("Card"), "section"), 0, 0, 1, 2)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        for place, (field, title, hint) in enumerate(_EDITABLE, start=1):
            edit = QLineEdit()
            edit.setPlaceholderText(tr(hint))
            edit.setAccessibleName(tr(title))
            edit.editingFinished.connect(self._edited)
            grid.addWidget(label(tr(title), "muted"), place, 0)
            grid.addWidget(edit, place, 1)
            self.editors[field] = edit
        self.card = QWidget()
        self.card.setLayout(grid)
        return self.card

    def _lay_out(self, editors: QWidget) -> None:
        head = row(self.rename, self.export, self.delete, None, spacing=8)
        body = column(
            self.description,
            self.research,
            self.problem,
            self.strip,
            self.no_strip,
            label(tr("Figures"), "section"),
            self._figures_part,
            4,
            label(tr("Facts"), "section"),
            self._facts,
            4,
            editors,
            None,
            spacing=10,
        )
        inside = QWidget()
        inside.setObjectName("page")
        inside.setLayout(body)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inside)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = column(self.name, head, scroll, spacing=10)
        layout.setContentsMargins(18, 14, 14, 14)
        self.setLayout(layout)

    def show_entry(self, entry: ModelEntry) -> None:
        """Show a model."""
        self._entry = entry
        self.name.setText(entry.name)
        self.rename.setVisible(not entry.builtin)
        self.delete.setVisible(not entry.builtin)
        self.problem.show_text(entry.problem, "warn")
        self.problem.setVisible(bool(entry.problem))
        self.research.setVisible(entry.research_use)
        self.research.show_text(research_text(entry.name, entry.data_source), "warn")
        self.strip.setVisible(bool(entry.strip))
        self.no_strip.setVisible(not entry.strip)
        self.strip.load(entry.strip)
        self.strip.setMaximumHeight(260)
        self._show_figures(entry)
        clear(self._facts)
        facts = facts_of(entry)
        half = (len(facts) + 1) // 2
        for place, (name, value) in enumerate(facts):
            line, side = place % half, 2 * (place // half)
            shown = label(value)
            shown.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            shown.setWordWrap(True)
            top = Qt.AlignmentFlag.AlignTop
            self._facts.addWidget(label(name, "muted"), line, side, top)
            self._facts.addWidget(shown, line, side + 1, top)
        values = {
            "category": entry.category,
            "description": str(entry.card.get("description") or ""),
            "licence": entry.licence,
        }
        for field, edit in self.editors.items():
            edit.setText(values[field])
            edit.setCursorPosition(0)
        self.card.setVisible(not entry.builtin and not entry.problem)
        self.description.setText(values["description"])
        self.description.setVisible(bool(values["description"]))

    def _show_figures(self, entry: ModelEntry) -> None:
        clear(self._figures)
        for name, value in entry.figures.items():
            made = QFrame()
            made.setObjectName("figure")
            layout = column(
                label(figure_text(value), "heading"), label(figure_title(name), "muted"), spacing=0
            )
            layout.setContentsMargins(12, 8, 12, 8)
            made.setLayout(layout)
            made.setAccessibleName(f"{figure_title(name)}: {figure_text(value)}")
            self._figures.addWidget(made)
        if not entry.figures:
            self._figures.addWidget(
                label(tr("Nothing was measured: no labelled images were there when it was trained."), "faint")
            )

    def _edited(self) -> None:
        entry = self._entry
        if entry is None or entry.builtin:
            return
        before = {
            "category": entry.category,
            "description": str(entry.card.get("description") or ""),
            "licence": entry.licence,
        }
        changed = {
            field: edit.text().strip()
            for field, edit in self.editors.items()
            if edit.text().strip() != before[field]
        }
        if changed:
            self.described.emit(changed)
