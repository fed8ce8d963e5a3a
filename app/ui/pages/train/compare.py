"""Two models on one reviewed set: the same references carried to the same images, figure by figure."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHeaderView,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.services.model_library import ComparedModel, Comparison, ModelLibrary
from app.ui.dialogs.base import Dialog
from app.ui.texts import plural, tr
from app.ui.theme import colour
from app.ui.widgets.basics import Notice, button, column, label

_LEAST_QUERIES = 1


def table_rows(found: Comparison) -> list[tuple[str, list[float], bool]]:
    """Return the rows of the result: title, a value a model, and whether less is better."""
    models = found.models
    rows = [
        (tr("Mean IoU of the parts"), [m.foreground_iou for m in models], False),
        (tr("Mean IoU with background"), [m.miou for m in models], False),
        (tr("Calibration error"), [m.ece for m in models], True),
    ]
    names = list(dict.fromkeys(name for m in models for name in m.per_class))
    rows += [(name, [m.per_class.get(name, float("nan")) for m in models], False) for name in names]
    return rows


def verdict(first: ComparedModel, second: ComparedModel, queries: int) -> str:
    """Return which of two models is better in words that a small set deserves."""
    gap = first.foreground_iou - second.foreground_iou
    if abs(gap) < 0.005:
        return tr("Both do the same on these images.")
    better, points = (first, gap) if gap > 0 else (second, -gap)
    text = tr("{name} is {points} points better.", name=better.name, points=f"{100 * points:.1f}")
    return text + (" " + tr("Few images: take it as a hint.") if queries < 10 else "")


class CompareDialog(Dialog):
    """Choose two models, measure, look.

    Args:
        library: Measures in another process.
        first: Id of the model to begin with.
        images: Folder of the images.
        labels: {relative path: label map} of the reviewed images.
        references: Those of them that are references.
    """

    def __init__(
        self,
        library: ModelLibrary,
        first: str,
        images: Path,
        labels: dict[str, Path],
        references: tuple[str, ...],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(
            tr("Compare two models"),
            tr(
                "Both carry the labels of the references to the images you have reviewed; "
                "your labels are the truth."
            ),
            parent,
        )
        self._library, self._images = library, images
        self._labels, self._references = labels, references
        self._queries = len(set(labels) - set(references))
        self._running = False
        self.choices = (QComboBox(), QComboBox())
        self.set_text = label(self._set_words(), "muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the comparison"))
        self.words = label("", "muted")
        self.notice = Notice()
        self.table = QTableWidget(0, 3)
        self.table.setProperty("kind", "boxed")
        self.table.setAccessibleName(tr("Figures of both models"))
        self.measure = button(tr("Compare"), self._begin, kind="primary", icon_name="mdi6.scale-balance")
        self._lay_out()
        self._fill_choices(first)
        library.compareProgress.connect(self._progress)
        library.compareDone.connect(self.show_result)
        library.compareFailed.connect(self._failed)
        self.finished.connect(lambda _result: library.cancel_compare())
        self._check()
        self.resize(680, 560)

    def _set_words(self) -> str:
        return tr(
            "{references} and {queries} of the open project",
            references=plural(len(self._references), "{n} reference", "{n} references"),
            queries=plural(self._queries, "{n} reviewed image", "{n} reviewed images"),
        )

    def _fill_choices(self, first: str) -> None:
        usable = [entry for entry in self._library.entries() if not entry.problem]
        ids = [entry.id for entry in usable]
        start = ids.index(first) if first in ids else 0
        names = (tr("First model"), tr("Second model"))
        for box, name, place in zip(self.choices, names, (start, 1 if start == 0 else 0), strict=True):
            box.setAccessibleName(name)
            for entry in usable:
                box.addItem(entry.name, entry.id)
            box.setCurrentIndex(place)
            box.currentIndexChanged.connect(lambda _place: self._check())

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(8)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(2, 1)
        grid.addWidget(self.choices[0], 0, 0)
        grid.addWidget(label(tr("and"), "muted"), 0, 1)
        grid.addWidget(self.choices[1], 0, 2)
        grid.addWidget(self.measure, 0, 3)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setShowGrid(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.bar.hide()
        self.words.hide()
        self.table.hide()
        self._space = QWidget()
        body = column(
            grid, self.set_text, self.bar, self.words, self.notice, self.table, self._space, spacing=10
        )
        body.setStretch(5, 1)
        self.finish(body, tr("Close"), cancel=False)
        self.primary.setProperty("kind", "")

    def _check(self) -> None:
        first, second = (box.currentData() for box in self.choices)
        text = ""
        if not self._references:
            text = tr("There is no reference in the open project. Label one image and press R.")
        elif self._queries < _LEAST_QUERIES:
            text = tr(
                "Accept or correct some propagated images first: they are the truth both are measured on."
            )
        elif first == second:
            text = tr("Choose two different models.")
        self.notice.show_text(text, "warn")
        self.notice.setVisible(bool(text))
        self.measure.setEnabled(not text and not self._running)

    def _begin(self) -> None:
        self._running = True
        self.table.hide()
        self.bar.setRange(0, 0)
        self.bar.show()
        self.words.setText(tr("Starting…"))
        self.words.show()
        self._check()
        ids = tuple(str(box.currentData()) for box in self.choices)
        self._library.compare(ids, self._images, self._labels, self._references)

    def _progress(self, done: int, total: int, text: str) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.words.setText(text)

    def _end(self) -> None:
        self._running = False
        self.bar.hide()
        self.words.hide()
        self._check()

    def _failed(self, text: str) -> None:
        self._end()
        self.notice.show_text(text, "bad")
        self.notice.show()

    def show_result(self, found: Comparison) -> None:
        """Show the figures; the better of a row stands out."""
        self._end()
        self.table.setColumnCount(1 + len(found.models))
        self.table.setHorizontalHeaderLabels(["", *(model.name for model in found.models)])
        rows = table_rows(found)
        self.table.setRowCount(len(rows) + 1)
        for line, (title, values, less_is_better) in enumerate(rows):
            self.table.setItem(line, 0, QTableWidgetItem(title))
            known = [value for value in values if value == value]  # noqa: PLR0124  not-a-number
            best = (min if less_is_better else max)(known, default=None)
            for place, value in enumerate(values):
                item = QTableWidgetItem(f"{value:.1%}" if value == value else "–")  # noqa: PLR0124
                if value == best and len(set(values)) > 1:
                    item.setForeground(colour("good"))
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(line, 1 + place, item)
        self.table.setItem(len(rows), 0, QTableWidgetItem(tr("Images a second")))
        for place, model in enumerate(found.models):
            self.table.setItem(len(rows), 1 + place, QTableWidgetItem(f"{model.images_per_second:.3g}"))
        self.table.show()
        if len(found.models) == 2:  # noqa: PLR2004  two choices above
            self.notice.show_text(verdict(*found.models, found.queries), "good")
            self.notice.show()
