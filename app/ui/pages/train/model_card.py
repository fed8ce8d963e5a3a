"""A model in the list: name, category, facts and its sample strip."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt

from app.services.model_library import ModelEntry
from app.services.tasks import Worker
from app.ui.pages.train.picture import Picture
from app.ui.pages.train.words import images_text, size_text
from app.ui.texts import duration, tr
from app.ui.widgets.basics import Card, ElidedLabel, Notice, column, label, row
from app.ui.widgets.research import research_mark

_STRIP_PX = 64


def short_facts(entry: ModelEntry) -> str:
    """Return preset and images in one line, the date below."""
    facts = [entry.preset] if entry.preset else []
    if entry.data_count:
        facts.append(tr("from {images}", images=images_text(entry.data_count)))
    return "\n".join(line for line in ("  ·  ".join(facts), entry.created[:10]) if line)


def facts_of(entry: ModelEntry) -> list[tuple[str, str]]:
    """Return everything a card says about a model: name of the fact and its value."""
    read_only = [(tr("Category"), entry.category), (tr("Licence"), entry.licence)] if entry.builtin else []
    found = [
        *read_only,
        (tr("Preset"), entry.preset),
        (tr("Resolution"), f"{entry.resolution} px" if entry.resolution else ""),
        (tr("Images"), images_text(entry.data_count) if entry.data_count else ""),
        (tr("Where from"), entry.data_source),
        (tr("Fingerprint"), entry.data_fingerprint[:16]),
        (tr("Trained for"), _training_text(entry)),
        (tr("Measured by"), str(entry.card.get("measured") or "")),
        (tr("Made"), entry.created[:16].replace("T", " ")),
        (tr("Parameters"), f"{entry.parameters / 1e6:.1f} M" if entry.parameters else ""),
        (tr("File"), size_text(entry.bytes) if entry.bytes else ""),
    ]
    if entry.research_use:
        found.insert(0, (tr("Use"), tr("research use")))
    return [(name, value) for name, value in found if value]


def _training_text(entry: ModelEntry) -> str:
    """Return how long a model was trained, and on what."""
    seconds = entry.card.get("trained_sec")
    parts = [duration(seconds)] if isinstance(seconds, int | float) and seconds else []
    where = str(entry.card.get("machine") or entry.card.get("device") or "")
    return ", ".join([*parts, where] if where else parts)


class ModelListCard(Card):
    """One model; can be chosen with mouse and keyboard."""

    def __init__(self, entry: ModelEntry, worker: Worker) -> None:
        self.entry = entry
        kind = label(tr("built in") if entry.builtin else "", "faint")
        marks = [research_mark(entry.data_source)] if entry.research_use else []
        name = ElidedLabel(entry.name)
        name.setProperty("role", "section")
        head = row(name, *marks, kind, spacing=8)
        head.setStretch(0, 1)
        parts: list[object] = [head]
        if entry.category:
            parts.append(row(label(entry.category, "key"), None))
        facts = short_facts(entry)
        if facts:
            parts.append(label(facts, "muted", wrap=True))
        content = column(*parts, spacing=5)  # type: ignore[arg-type]
        if entry.strip:
            strip = Picture(
                worker,
                tr("Samples of {name}", name=entry.name),
                align=Qt.AlignmentFlag.AlignLeft,
                least=QSize(60, _STRIP_PX),
            )
            strip.setFixedHeight(_STRIP_PX)
            strip.load(entry.strip)
            content.addWidget(strip)
        if entry.problem:
            content.addWidget(Notice(entry.problem, "warn"))
        super().__init__(content, hoverable=True)
        use = tr("research use") if entry.research_use else ""
        self.setAccessibleName(", ".join(part for part in (entry.name, use, entry.category, facts) if part))
