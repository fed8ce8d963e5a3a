"""Propagate: which model, from which references, to which images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.domain.model_choice import likely_model
from app.domain.project import Project
from app.services.engine import EngineClient
from app.services.models import ModelInfo
from app.services.propagation import PropagationRequest, propagation_targets
from app.ui.dialogs.base import Dialog
from app.ui.texts import duration, plural, tr
from app.ui.theme import icon
from app.ui.widgets.basics import Card, EmptyState, Notice, button, clear, column, label, row
from app.ui.widgets.figures import main_figures
from app.ui.widgets.research import research_mark, research_text


def card_lines(card: dict[str, Any]) -> list[str]:
    """Return what a model's card says, as short lines for the list."""
    lines = [str(card["description"])] if card.get("description") else []
    count, seconds = card.get("data_count"), card.get("trained_sec")
    facts = []
    if isinstance(count, int) and count:
        facts.append(plural(count, "from {n} image", "from {n} images"))
    if isinstance(seconds, int | float) and seconds:
        facts.append(tr("trained for {time}", time=duration(seconds)))
    facts += [str(card[key]) for key in ("preset", "created") if card.get(key)]
    figures = card.get("figures")
    if isinstance(figures, dict):
        facts += main_figures(figures)
    if facts:
        lines.append("  ·  ".join(facts))
    if card.get("research_use") and card.get("data_source"):
        lines.append(tr("Trained on: {data}", data=card["data_source"]))
    if card.get("licence"):
        lines.append(tr("Terms: {terms}", terms=card["licence"]))
    return lines


def is_trained(model: ModelInfo) -> bool:
    """Return whether a model is more than a stop-gap."""
    return bool(model.path or model.category)


class ModelCard(Card):
    """One model of the list."""

    def __init__(self, model: ModelInfo) -> None:
        name = label(model.name, "section")
        category = label(
            model.category or (tr("category not told") if is_trained(model) else tr("any category")), "key"
        )
        kind = label(tr("built in") if model.builtin else tr("own"), "faint")
        marks = [research_mark(model.data_source)] if model.research_use else []
        lines = [label(text, "muted", wrap=True) for text in card_lines(model.card)]
        super().__init__(column(row(name, category, *marks, None, kind), *lines, spacing=4), hoverable=True)
        self.model = model


def query_ranges(
    project: Project, selected: list[int], shown: list[int]
) -> list[tuple[str, Callable[[], list[int]]]]:
    """Return the choices of what receives labels: title -> image ids, asked for when they are needed."""
    ranges: list[tuple[str, Callable[[], list[int]]]] = [
        (tr("All images"), lambda: [int(i) for i in project.ids("")]),
        (tr("Images without labels"), lambda: [int(i) for i in project.ids("status:unlabelled,failed")]),
    ]
    if len(selected) > 1:
        ranges.append((tr("The {n} selected images", n=f"{len(selected):,}"), lambda: selected))
    if 0 < len(shown) < project.count():
        ranges.append((tr("The {n} images found by the search", n=f"{len(shown):,}"), lambda: shown))
    return ranges


class PropagateDialog(Dialog):
    """The one question before the folder is labelled."""

    trainAsked = Signal()  # noqa: N815

    def __init__(
        self,
        project: Project,
        engine: EngineClient,
        *,
        selected: list[int],
        shown: list[int],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(
            tr("Propagate"),
            tr(
                "Carries the labels of the references to the other images. What you painted or accepted "
                "stays."
            ),
            parent,
        )
        self._project = project
        self.model: ModelInfo | None = None
        self._cards: list[ModelCard] = []
        self._ranges = query_ranges(project, selected, shown)
        self._lay_out()
        self._check()
        request = engine.models(self.show_models, self._no_models)
        self.finished.connect(
            lambda _result: engine.cancel(request)
        )  # nobody may answer a dialog that is gone

    def _lay_out(self) -> None:
        left = column(label(tr("Model"), "section"), self._make_models(), spacing=6)
        right = column(
            label(tr("References"), "section"),
            self._make_references(),
            8,
            label(tr("Images"), "section"),
            self._make_range(),
            self.keep,
            spacing=6,
        )
        body = row(left, right, spacing=20)
        body.setStretch(0, 3)
        body.setStretch(1, 2)
        self.mismatch = Notice(level="warn")
        self.mismatch.hide()
        self.research = Notice(level="warn")
        self.research.hide()
        self.notice = Notice()
        self.finish(column(body, self.mismatch, self.research, self.notice, spacing=10), tr("Propagate"))
        self.resize(860, 600)

    # -- models ------------------------------------------------------------------------------------

    def _make_models(self) -> QWidget:
        self._model_list = QVBoxLayout()
        self._model_list.setSpacing(8)
        inside = QWidget()
        inside.setObjectName("page")
        outer = QVBoxLayout(inside)
        outer.setContentsMargins(0, 0, 6, 0)
        outer.addLayout(self._model_list)
        self._waiting = EmptyState("mdi6.timer-sand", tr("Looking for models…"), compact=True)
        outer.addWidget(self._waiting)
        outer.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(inside)
        return scroll

    def show_models(self, models: list[ModelInfo]) -> None:
        """Show the models: the likely one first, own before bundled ones, stop-gaps last.

        None is chosen where nothing tells which one knows images like these.
        """
        clear(self._model_list)
        self._waiting.hide()
        before = self._category_before()
        models = sorted(
            models,
            key=lambda m: (not is_trained(m), bool(before) and m.category != before, m.builtin, m.name),
        )
        trained = [model for model in models if is_trained(model)]
        likely = likely_model(trained, self._project.images_folder, before)
        if likely is not None:
            models = [likely, *(model for model in models if model is not likely)]
        self._cards = [ModelCard(model) for model in models]
        for card in self._cards:
            card.clicked.connect(lambda card=card: self.choose(card.model))
            self._model_list.addWidget(card)
        if not trained:
            self._model_list.addWidget(self._no_model(bool(models)))
        if models and (likely is not None or not trained):
            self.choose(models[0])

    def _no_models(self, reason: str) -> None:
        """Say why there is no list of models."""
        self._waiting.title.setText(tr("The engine does not answer"))
        self._waiting.text.setText(reason)
        self._waiting.text.show()

    def _no_model(self, has_stopgap: bool) -> QWidget:
        text = tr("There is no trained model for images like these yet. Train one on this folder;")
        text += " " + (
            tr("until then, optical flow follows the parts in similar images.")
            if has_stopgap
            else tr("then propagate.")
        )
        train = button(tr("Train a model…"), self._ask_training, icon_name="mdi6.school-outline")
        return EmptyState("mdi6.cube-off-outline", tr("No trained model"), text, train, compact=True)

    def _ask_training(self) -> None:
        self.reject()
        self.trainAsked.emit()

    def choose(self, model: ModelInfo) -> None:
        """Use this model."""
        self.model = model
        for card in self._cards:
            card.set_selected(card.model.id == model.id)
        before = self._category_before()
        differs = bool(before and model.category and model.category != before)
        self.mismatch.setVisible(differs or bool(model.category and not before))
        if not differs:
            self.mismatch.show_text(
                tr(
                    "This model knows {category}. On images of anything else its labels are worthless.",
                    category=model.category,
                ),
                "info",
            )
        else:
            self.mismatch.show_text(
                tr(
                    "This model knows {new}; this project was propagated with a model of {old} before. "
                    "On images of another category its labels are worthless.",
                    new=model.category,
                    old=before,
                ),
                "warn",
            )
        self.research.setVisible(model.research_use)
        if model.research_use:
            self.research.show_text(research_text(model.name, model.data_source), "warn")
        self._check()

    def _category_before(self) -> str:
        """Return the category of the last propagation of this project, "" where there was none."""
        for run in self._project.runs():
            if run.details.get("category"):
                return str(run.details["category"])
        return ""

    # -- references and range ----------------------------------------------------------------------

    def _make_references(self) -> QWidget:
        self.references = QListWidget()
        self.references.setProperty("kind", "boxed")
        self.references.setAccessibleName(tr("References"))
        for found in self._project.rows(self._project.references()):
            item = QListWidgetItem(icon("mdi6.star", "reference"), found.path)
            item.setData(Qt.ItemDataRole.UserRole, found.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked)
            self.references.addItem(item)
        self.references.itemChanged.connect(self._check)
        return self.references

    def _make_range(self) -> QWidget:
        self.range = QComboBox()
        for title, _ in self._ranges:
            self.range.addItem(title)
        self.range.currentIndexChanged.connect(self._check)
        self.keep = QCheckBox(tr("Also renew images you corrected"))
        self.keep.setToolTip(tr("Your corrections stay; the machine's pixels around them are made anew."))
        self.keep.toggled.connect(self._check)
        return self.range

    def reference_ids(self) -> tuple[int, ...]:
        """Return the ticked references."""
        items = [self.references.item(i) for i in range(self.references.count())]
        return tuple(
            int(item.data(Qt.ItemDataRole.UserRole))
            for item in items
            if item.checkState() is Qt.CheckState.Checked
        )

    def request(self) -> PropagationRequest | None:
        """Return what is asked for, None while something is missing."""
        references = self.reference_ids()
        if self.model is None or not references:
            return None
        queries = tuple(i for i in self._ranges[self.range.currentIndex()][1]() if i not in set(references))
        return PropagationRequest(
            model=self.model.id,
            references=references,
            queries=queries,
            keep_human_pixels=self.keep.isChecked(),
            category=self.model.category,
            model_name=self.model.name,
            research_use=self.model.research_use,
            model_data=self.model.data_source,
        )

    def _check(self) -> None:
        """Say what will happen, or what is missing."""
        request = self.request()
        count = 0
        if not self.references.count():
            text, level = (
                tr("There is no reference yet. Label one image and press R to make it the reference."),
                "warn",
            )
        elif not self.reference_ids():
            text, level = tr("Tick at least one reference."), "warn"
        elif request is None:
            text, level = tr("Choose a model that knows images like these."), "info"
        else:
            preview = propagation_targets(self._project, request)
            count = len(preview.queries)
            text, level = plural(count, "{n} image receives labels.", "{n} images receive labels."), "info"
            protected = len(preview.protected)
            if protected:
                text += " " + plural(
                    protected,
                    "{n} image is yours and stays as it is.",
                    "{n} images are yours and stay as they are.",
                )
        self.notice.show_text(text, level)  # type: ignore[arg-type]
        self.primary.setEnabled(count > 0)
