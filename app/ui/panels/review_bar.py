"""The bar of the review: decisions, figures, the next best image to label."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QProgressBar, QPushButton, QWidget

from app.domain.classes import ClassTable
from app.ui.actions import ActionRegistry
from app.ui.panels.review import ReviewController
from app.ui.texts import duration, tr
from app.ui.theme import icon
from app.ui.widgets.basics import ElidedLabel, button, column, label, row


class ReviewBar(QFrame):
    """Accept, reject, skip; how much is left; what to label next and why."""

    suggestionAsked = Signal(int)  # noqa: N815

    def __init__(
        self, controller: ReviewController, actions: ActionRegistry, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self._controller = controller
        self._actions = actions
        self._name = label("", "section")
        self._figures = label("", "muted")
        self._progress = QProgressBar(textVisible=False, maximum=1000)
        self._progress.setFixedWidth(150)
        self.order = QComboBox()
        self.order.setAccessibleName(tr("Order of the review"))
        self.order.currentIndexChanged.connect(self._order_chosen)
        self._make_buttons()
        self._bulb = label()
        self._suggestion = ElidedLabel()
        self._suggestion.setProperty("role", "muted")
        self._suggested: int | None = None
        self._lay_out()
        self.refresh_icons()
        controller.changed.connect(self.refresh)
        controller.suggested.connect(lambda _found: self._show_suggestion())
        actions.keys_changed.connect(self._show_keys)
        self._show_keys()

    def _make_buttons(self) -> None:
        actions = self._actions
        self._accept = self._decision("review.accept", tr("Accept"), "mdi6.check-bold", primary=True)
        self._reject = self._decision("review.reject", tr("Reject"), "mdi6.close-thick")
        self._skip = self._decision("review.skip", tr("Skip"), "mdi6.skip-next")
        self._reference = button(
            tr("Use as reference too"),
            actions["image.reference"].trigger,
            kind="quiet",
            icon_name="mdi6.star-outline",
        )
        self._again = button(
            tr("Propagate again"), actions["label.again"].trigger, kind="quiet", icon_name="mdi6.refresh"
        )
        self._again.setToolTip(actions["label.again"].toolTip())
        self._go = button(tr("Show it"), self._go_to_suggestion, kind="quiet")

    def _lay_out(self) -> None:
        first = row(self._name, 12, self._progress, self._figures, None, self.order, spacing=10)
        second = row(self._reference, self._again, None, self._skip, self._reject, self._accept)
        third = row(self._bulb, self._suggestion, self._go)
        third.setStretch(1, 1)
        layout = column(first, second, third, spacing=8)
        layout.setContentsMargins(14, 10, 12, 10)
        self.setLayout(layout)

    def _decision(self, action_id: str, text: str, icon_name: str, *, primary: bool = False) -> QPushButton:
        made = button(
            text, self._actions[action_id].trigger, kind="primary" if primary else "", icon_name=icon_name
        )
        made.setProperty("action", action_id)
        made.setProperty("text_only", text)
        return made

    def _show_keys(self) -> None:
        for made in (self._accept, self._reject, self._skip):
            action = self._actions[str(made.property("action"))]
            made.setToolTip(action.toolTip())
            keys = action.shortcut().toString()
            made.setText(
                f"{made.property('text_only')}   {_symbol(keys)}" if keys else made.property("text_only")
            )

    def set_classes(self, classes: ClassTable) -> None:
        """Offer the classes as orders of the review."""
        chosen = self.order.currentData()
        self.order.blockSignals(True)
        self.order.clear()
        self.order.addItem(tr("By the whole image"), None)
        for each in classes.classes:
            if each.id:
                self.order.addItem(tr("By {name}", name=each.name), each.id)
        self.order.setCurrentIndex(max(self.order.findData(chosen), 0) if chosen is not None else 0)
        self.order.blockSignals(False)

    def _order_chosen(self, _index: int) -> None:
        self._controller.set_class(self.order.currentData())

    def show_image(self, name: str, confidence: float | None) -> None:
        """Say which image is in view."""
        sure = "" if confidence is None else "   " + tr("confidence {p} %", p=round(100 * confidence))
        self._name.setText(name + sure)

    def refresh(self) -> None:
        """Show queue, pace and suggestion."""
        counts = self._controller.counts()
        total = counts.left + counts.done
        self._progress.setValue(round(1000 * counts.done / total) if total else 0)
        parts = [self._controller.position_text()]
        left = self._controller.seconds_left()
        if left is not None and counts.left:
            parts.append(tr("about {time}", time=duration(left)))
        self._figures.setText("  ·  ".join(parts))
        for made in (self._accept, self._reject, self._skip):
            made.setEnabled(self._controller.current is not None)
        self._show_suggestion()

    def _show_suggestion(self) -> None:
        found = self._controller.suggestion
        self._suggested = None if found is None else int(found.image_id)
        here = self._suggested is not None and self._suggested == self._controller.current
        for part in (self._bulb, self._suggestion):
            part.setVisible(found is not None)
        self._go.setVisible(found is not None and not here)
        if found is not None:
            name = self._controller.name(found.image_id)
            text = (
                tr("Worth correcting and using as a reference")
                if here
                else tr("Label next: {name}", name=name)
            )
            self._suggestion.setText(f"{text}  ·  {tr(found.reason)}")

    @property
    def suggested(self) -> int | None:
        """The image that is suggested."""
        return self._suggested

    def _go_to_suggestion(self) -> None:
        if self._suggested is not None:
            self.suggestionAsked.emit(self._suggested)

    def refresh_icons(self) -> None:
        """Tint the icons anew after the theme changed."""
        self._bulb.setPixmap(icon("mdi6.lightbulb-on-outline", "warn").pixmap(18, 18))
        self._accept.setIcon(icon("mdi6.check-bold", "on_accent"))
        for made, name in (
            (self._reject, "mdi6.close-thick"),
            (self._skip, "mdi6.skip-next"),
            (self._reference, "mdi6.star-outline"),
            (self._again, "mdi6.refresh"),
        ):
            made.setIcon(icon(name))


def _symbol(key: str) -> str:
    return {"Return": "⏎", "Enter": "⏎", "Backspace": "⌫"}.get(key, key)
