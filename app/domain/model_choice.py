"""Which model a project most likely needs, and under what terms the models were that made its labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from app.domain.project import Project

_PARTS = 2
"""Of the path of the images, from its end, may say what they show: ``cats/images``."""


class Choosable(Protocol):
    """A model of a list."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def category(self) -> str:
        """What its images show; empty where nobody said."""
        ...

    @property
    def builtin(self) -> bool:
        """Whether it ships with the program."""
        ...


M = TypeVar("M", bound=Choosable)


@dataclass(frozen=True)
class LabelSource:
    """A model that made labels of a project; ``data`` is what it was trained on."""

    name: str
    research_use: bool
    data: str = ""


def likely_model(models: Sequence[M], folder: Path, before: str = "") -> M | None:
    """Return the model to offer first, None where that would be a guess without a reason.

    A model of the category of the last propagation; else one whose name or category the folder is called by;
    else the only one, or the first of the user's own.

    Args:
        models: Trained models, in the order in which they are offered.
        folder: The images.
        before: Category of the project's last propagation; empty for none.
    """
    same = [model for model in models if before and model.category == before]
    if same:
        return same[0]
    words = _words(" ".join(folder.parts[-_PARTS:]))
    named = [m for m in models if any(w and w <= words for w in (_words(m.name), _words(m.category)))]
    if named:
        return named[0]
    own = [model for model in models if not model.builtin]
    return own[0] if own else models[0] if len(models) == 1 else None


def _words(text: str) -> frozenset[str]:
    """Return the words of a name, without case and plural."""
    found = re.findall(r"[^\W_]+", text.casefold().replace("x-ray", "xray"))
    return frozenset(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found)


def label_sources(project: Project) -> tuple[LabelSource, ...]:
    """Return the models by which labels were carried in a project and not taken back, by name."""
    runs = [run for run in project.runs() if run.kind == "propagation" and not run.undone]
    found = {_source(run.details) for run in runs}
    return tuple(sorted((one for one in found if one.name), key=lambda one: (one.name, one.data)))


def research_notes(project: Project) -> list[str]:
    """Return a sentence for each model for research use that carried labels in a project."""
    return [
        f"labels were carried by the model {one.name}, which is for research use"
        + (f" (trained on: {one.data})" if one.data else "")
        for one in label_sources(project)
        if one.research_use
    ]


def _source(details: dict[str, Any]) -> LabelSource:
    return LabelSource(
        str(details.get("model_name") or ""),
        bool(details.get("research_use")),
        str(details.get("model_data") or ""),
    )
