"""Step 3: what is trained: a preset, its usual settings, and the way to all of them."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout

from app.services.training import TrainingService
from app.services.training_values import PresetInfo
from app.ui.pages.train.draft import CROP_GROUP, Draft
from app.ui.pages.train.form import FieldRow, Fields
from app.ui.pages.train.step import StepCard
from app.ui.texts import duration, plural, tr
from app.ui.widgets.basics import Card, Notice, button, clear, column, label, row

_INLINE = ("train.minutes", "train.batch", "train.mirror")
"""Settings that stand on the page itself, where the preset has them."""


class PresetCard(Card):
    """One preset in a line."""

    def __init__(self, info: PresetInfo) -> None:
        self.info = info
        facts = [f"{info.resolution} px"]
        if info.minutes:
            facts.append(duration(60 * info.minutes))
        self.fits = label(tr("fits these images"), "good")
        self.fits.hide()
        name = label(info.title, "section")
        name.setMinimumWidth(84)
        line = row(name, label("  ·  ".join(facts), "muted"), None, self.fits, spacing=12)
        super().__init__(line, hoverable=True)
        line.setContentsMargins(14, 7, 14, 7)
        self.setToolTip(info.text)
        self.setAccessibleName(f"{info.title}: {info.text}")


class PresetStep(StepCard):
    """Presets side by side, and their usual settings."""

    def __init__(self, draft: Draft, training: TrainingService) -> None:
        self._draft, self._training = draft, training
        self.fields = Fields(draft)
        self.cards: dict[str, PresetCard] = {}
        presets = column(spacing=4)
        for info in training.presets():
            card = PresetCard(info)
            card.clicked.connect(lambda name=info.name: draft.choose_preset(name))
            presets.addWidget(card)
            self.cards[info.name] = card
        self.explained = label("", "muted", wrap=True)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        self.changed_text = label("", "muted")
        self.reset = button(tr("Reset to the preset"), self.fields.reset, kind="quiet")
        self.all = button(tr("All settings…"), self.show_all, icon_name="mdi6.tune-variant")
        self.problem = Notice(level="bad")
        self.problem.hide()
        foot = row(self.changed_text, None, self.reset, self.all)
        super().__init__(
            3,
            tr("What is trained"),
            column(presets, self.explained, self._rows, self.problem, foot, spacing=12),
        )
        self._shown_preset = ""
        self.fields.changed.connect(lambda _key: self._take())
        draft.trainingChanged.connect(self.refresh)
        self.refresh()

    @property
    def is_valid(self) -> bool:
        """Whether every field can be used."""
        return self.problem.isHidden()

    def refresh(self) -> None:
        """Show the preset and the changes of the draft."""
        now = self._draft.now
        if now.preset not in self.cards and self.cards:
            self._draft.choose_preset(next(iter(self.cards)))
            return
        if now.preset != self._shown_preset:
            self._shown_preset = now.preset
            infos = tuple(i for i in self._training.fields(now.preset) if i.group != CROP_GROUP)
            self.fields.take(infos, now.changes)
            clear(self._rows)
            inline = [info for key in _INLINE for info in infos if info.key == key]
            for info in inline:
                self._rows.addWidget(FieldRow(self.fields, info, compact=True))
        elif now.changes != self.fields.changes:
            self.fields.take(self.fields.infos, now.changes)
        for name, card in self.cards.items():
            card.set_selected(name == now.preset)
            if name == now.preset:
                self.explained.setText(card.info.text)
        self._check()

    def recommend(self, preset: str) -> None:
        """Mark the preset that fits the images; "" marks none."""
        for name, card in self.cards.items():
            card.fits.setVisible(name == preset)

    def show_all(self) -> None:
        """Open the form with every field."""
        from app.ui.pages.train.form_dialog import FormDialog

        preset = self._draft.now.preset
        dialog = FormDialog(
            self.fields.infos,
            self.fields.changes,
            lambda changes: self._training.problem(preset, changes),
            self.cards[preset].info.title,
            self.window(),
        )
        if dialog.exec() == FormDialog.DialogCode.Accepted:
            self.fields.take(self.fields.infos, dialog.changes)
        dialog.deleteLater()

    def _take(self) -> None:
        if not self.fields.wrong:
            self._draft.set_changes(self.fields.changes)
        self._check()

    def _check(self) -> None:
        count = len(self.fields.changes)
        text = next(iter(self.fields.wrong.values()), "")
        text = text or self._training.problem(self._draft.now.preset, self.fields.changes)
        self.problem.show_text(text, "bad")
        self.problem.setVisible(bool(text))
        self.changed_text.setText(
            plural(count, "{n} setting differs from the preset", "{n} settings differ from the preset")
            if count
            else tr("As the preset has it")
        )
        self.reset.setVisible(bool(count or self.fields.wrong))
        card: PresetCard | None = self.cards.get(self._draft.now.preset)
        self.set_state("bad" if text else "done", card.info.title if card is not None else "")
