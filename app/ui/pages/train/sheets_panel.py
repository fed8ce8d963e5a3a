"""Sample sheets of a run: one kind at a time, with a slider through time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QFrame, QToolButton, QWidget

from app.services.tasks import Worker
from app.services.training_values import Sheet
from app.services.translations import mark
from app.ui.pages.train.picture import Picture
from app.ui.pages.train.words import count_text, stage_text
from app.ui.texts import tr
from app.ui.widgets.basics import column, icon_button, label, row, slider

KINDS: dict[str, tuple[str, str]] = {
    "reconstruction": (mark("Reconstruction"), mark("Images above, what the model makes of them below.")),
    "maps": (
        mark("Maps"),
        mark("Same colour, same place in the canonical frame: alike parts should be coloured alike."),
    ),
    "texture": (mark("Texture swap"), mark("Each row one structure, each column one texture.")),
    "structure": (mark("Structure swap"), mark("Each row one texture, structures varying.")),
    "labels": (mark("Labels"), mark("The labels of your reference carried to five images.")),
    "all": (mark("All"), mark("Everything the model can show at this stage.")),
}


class SheetsPanel(QWidget):
    """The newest sheet is followed until the slider is moved back."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._sheets: tuple[Sheet, ...] = ()
        self.kind = ""
        self._follow = True
        self.buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        switch = QFrame()
        switch.setObjectName("switcher")
        kinds = row(spacing=2)
        kinds.setContentsMargins(3, 3, 3, 3)
        for kind, (title, text) in KINDS.items():
            made = QToolButton()
            made.setText(tr(title))
            made.setToolTip(tr(text))
            made.setCheckable(True)
            made.clicked.connect(lambda _on=False, kind=kind: self.choose(kind))
            self._group.addButton(made)
            kinds.addWidget(made)
            self.buttons[kind] = made
        switch.setLayout(kinds)
        self._switch = switch
        self.picture = Picture(
            worker, tr("Sample sheet"), align=Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        )
        self.caption = label("", "muted", wrap=True)
        self.time = slider(0, 0, tr("Time of the sheet"))
        self.time.valueChanged.connect(self._moved)
        self.when = label("", "muted")
        self.newest = icon_button("mdi6.page-last", tr("Newest sheet"), self.show_newest)
        controls = row(self.time, self.when, self.newest, spacing=8)
        controls.setStretch(0, 1)
        layout = column(row(switch, None), self.caption, self.picture, controls, spacing=8)
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.show_sheets(())

    def show_sheets(self, sheets: tuple[Sheet, ...]) -> None:
        """Offer these sheets, oldest first."""
        if sheets == self._sheets and self.kind:
            return
        self._sheets = sheets
        kinds = {sheet.kind for sheet in sheets}
        for kind, made in self.buttons.items():
            made.setVisible(kind in kinds)
        self._switch.setVisible(bool(kinds))
        if self.kind not in kinds:
            self.kind = next((kind for kind in KINDS if kind in kinds), "")
        self._show_kind()

    def choose(self, kind: str) -> None:
        """Show another kind of sheet, at the time that is shown now."""
        before = self._of_kind()
        seen = before[self.time.value()].nimg if before and not self._follow else None
        self.kind = kind
        self._show_kind()
        if seen is not None:
            near = min(range(len(self._of_kind())), key=lambda i: abs(self._of_kind()[i].nimg - seen))
            self.time.setValue(near)

    def show_newest(self) -> None:
        """Follow the newest sheet again."""
        self.time.setValue(self.time.maximum())

    def _of_kind(self) -> list[Sheet]:
        return [sheet for sheet in self._sheets if sheet.kind == self.kind]

    def _show_kind(self) -> None:
        shown = self._of_kind()
        if self.kind:
            self.buttons[self.kind].setChecked(True)
        self.caption.setText(tr(KINDS[self.kind][1]) if self.kind else "")
        self.caption.setVisible(bool(self.kind))
        at = len(shown) - 1 if self._follow else min(self.time.value(), len(shown) - 1)
        self.time.blockSignals(True)  # noqa: FBT003
        self.time.setRange(0, max(0, len(shown) - 1))
        self.time.setValue(max(at, 0))
        self.time.blockSignals(False)  # noqa: FBT003
        self.time.setEnabled(len(shown) > 1)
        self._show_sheet()

    def _moved(self, place: int) -> None:
        self._follow = place == self.time.maximum()
        self._show_sheet()

    def _show_sheet(self) -> None:
        shown, place = self._of_kind(), self.time.value()
        self.newest.setEnabled(place < len(shown) - 1)
        if not shown:
            self.picture.load(None)
            self.picture.say(tr("The first sheet comes with the first snapshot."))
            self.when.setText("")
            return
        sheet = shown[place]
        self.picture.load(sheet.path)
        self.when.setText(
            tr("{stage}, {n} images seen", stage=stage_text(sheet.stage), n=count_text(sheet.nimg))
        )
