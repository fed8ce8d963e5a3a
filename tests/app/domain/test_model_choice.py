from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from app.domain.model_choice import LabelSource, label_sources, likely_model, research_notes
from app.domain.project import Project


@dataclass(frozen=True)
class Model:
    name: str
    category: str
    builtin: bool = True


SHIPPED = [
    Model("cars", "cars"),
    Model("cats", "cats"),
    Model("faces", "faces"),
    Model("sample", "drawn figures"),
    Model("xrays", "chest X-rays"),
]
OWN = Model("wings-2", "", builtin=False)


@pytest.mark.parametrize(
    ("folder", "before", "expected"),
    [
        ("/data/holiday", "", None),
        ("/data/holiday", "cats", "cats"),
        ("/data/faces/images", "cats", "cats"),
        ("/data/faces/images", "", "faces"),
        ("/data/My_Cat-photos", "", "cats"),
        ("/data/X-Rays 2024", "", "xrays"),
        ("/data/chest x-rays", "", "xrays"),
        ("/profile/sample/figures", "", "sample"),
        ("/faces/2024/of/cars", "", "cars"),
        ("/data/scars", "", None),
        ("/data/surfaces", "", None),
        ("/", "", None),
    ],
)
def test_a_model_is_offered_where_something_speaks_for_it(
    folder: str, before: str, expected: str | None
) -> None:
    found = likely_model(SHIPPED, Path(folder), before)
    assert (found.name if found else None) == expected


def test_the_only_model_and_the_users_own_are_offered_without_a_hint() -> None:
    assert likely_model([SHIPPED[0]], Path("/data/holiday")) == SHIPPED[0]
    assert likely_model([OWN, *SHIPPED], Path("/data/holiday")) == OWN
    assert likely_model([OWN, *SHIPPED], Path("/data/cats")) == SHIPPED[1], (
        "the name of the folder goes before"
    )
    assert likely_model([], Path("/data/cats")) is None


def test_a_project_tells_by_which_models_its_labels_were_carried(project: Project) -> None:
    def run(**details: object) -> int:
        batch = project.batches.begin("propagation", "Propagate", details)
        project.batches.finish(batch)
        return batch

    run(model_name="sample", research_use=False, model_data="drawn")
    run(model_name="cats", research_use=True, model_data="AFHQ")
    run(model_name="cats", research_use=True, model_data="AFHQ")
    run()  # of a version that kept no name
    gone = run(model_name="cars", research_use=True)
    for _ in project.exchange(gone):
        pass
    assert label_sources(project) == (
        LabelSource("cats", True, "AFHQ"),
        LabelSource("sample", False, "drawn"),
    )
    (note,) = research_notes(project)
    assert "cats" in note
    assert "research use" in note
    assert "AFHQ" in note
