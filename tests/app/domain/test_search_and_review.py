from __future__ import annotations

import pytest

from app.domain.project import Project, Sort
from app.domain.review import review_counts, review_queue, seconds_left, suggest_next
from app.domain.search import SearchError, complete, parse
from app.domain.status import Status
from tests.app.domain.work import ids_of, propagate, stroke


@pytest.fixture
def mixed(project: Project) -> Project:
    """0 edited with a nose, 1 scores 0.9, 2 scores 0.4, 3 has no score, 4 is rejected, 5 untouched."""
    ids = ids_of(project)
    stroke(project, ids[0], 1)
    propagate(project, {ids[1]: 0.9, ids[2]: 0.4, ids[3]: None, ids[4]: 0.2})
    project.set_status([ids[4]], Status.REJECTED)
    return project


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "012345"),
        ("status:propagated", "123"),
        ("status:edited,rejected", "04"),
        ("-status:propagated", "045"),
        ("score:<0.5", "24"),
        ("score:>=40% score:<0.9", "2"),
        ("score:0.3..0.95", "12"),
        ("-score:<0.5", "0135"),
        ("label:nose", "0"),
        ("label:NOSE,eye", "01234"),
        ("label:tail", ""),
        ("-label:eye", "05"),
        ("name:*2.png", "2"),
        ("name:IMAGE?.png -name:*[0-3]*", "012345"),
        ("image3", "3"),
        ('"image3"', "3"),
        ("is:human", "0"),
        ("is:machine", "1234"),
        ("is:labelled -is:human status:propagated", "123"),
    ],
)
def test_search(mixed: Project, query: str, expected: str) -> None:
    names = "".join(row.name[5] for row in mixed.rows(mixed.ids(query)))
    assert names == expected


@pytest.mark.parametrize(
    "query", ["status:done", "score:high", "colour:red", "is:nice", "score:", "status:,"]
)
def test_what_is_not_understood_is_told(mixed: Project, query: str) -> None:
    with pytest.raises(SearchError) as caught:
        mixed.ids(f"nose {query}")
    assert caught.value.position == 5


def test_quotes_and_terms() -> None:
    query = parse('label:"left eye" -name:a*')
    assert [(t.field, t.values, t.negated) for t in query.terms] == [
        ("label", ("left eye",), False),
        ("name", ("a*",), True),
    ]
    assert parse("   ").is_empty


def test_completion() -> None:
    assert complete("sta", 3, []) == ["status:"]
    assert complete("x status:e", 10, []) == ["edited"]
    assert complete("label:le", 8, ["left eye", "nose"]) == ['"left eye"']


def test_sorting(mixed: Project) -> None:
    def order(sort: Sort, *, descending: bool = False) -> str:
        return "".join(r.name[5] for r in mixed.rows(mixed.ids("", sort, descending=descending)))

    assert order(Sort.NAME, descending=True) == "543210"
    assert order(Sort.CONFIDENCE) == "421035"
    assert order(Sort.CONFIDENCE, descending=True) == "124035"
    assert order(Sort.STATUS) == "451230"


def test_review_begins_with_the_least_certain(mixed: Project) -> None:
    def names(ids: object) -> str:
        return "".join(r.name[5] for r in mixed.rows(ids))  # type: ignore[arg-type]

    queue = review_queue(mixed)
    assert names(queue) == "321"
    assert names(review_queue(mixed, class_id=2)) == "321"
    assert names(review_queue(mixed, class_id=1)) == "321"
    counts = review_counts(mixed)
    assert (counts.left, counts.corrected, counts.rejected, counts.unlabelled, counts.done) == (3, 1, 1, 1, 2)
    assert seconds_left(10, [1.0, 2.0]) is None
    assert seconds_left(10, [1.0, 2.0, 600.0]) == 20.0


def test_suggestions_say_why(mixed: Project) -> None:
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert "no reference" in suggestion.reason
    mixed.set_status([ids_of(mixed)[0]], Status.REFERENCE)
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert mixed.row(suggestion.image_id).name == "image4.png"
    assert "rejected" in suggestion.reason
    mixed.set_status([suggestion.image_id], Status.ACCEPTED)
    suggestion = suggest_next(mixed)
    assert suggestion is not None
    assert mixed.row(suggestion.image_id).name == "image3.png"


def test_the_models_own_suggestion_holds_while_nobody_has_looked_at_it(project: Project) -> None:
    ids = ids_of(project)
    project.set_status(ids[:1], Status.REFERENCE)
    batch = propagate(project, {ids[1]: 0.2, ids[2]: 0.6})
    project.batches.finish(batch, {"suggestion": {"image": ids[2], "reason": "many are like it"}})
    found = suggest_next(project)
    assert found is not None
    assert (found.image_id, found.reason) == (ids[2], "many are like it")
    project.set_status([ids[2]], Status.ACCEPTED)
    found = suggest_next(project)
    assert found is not None
    assert found.image_id == ids[1], "back to the least certain one"
    project.batches.finish(batch, {"suggestion": "nonsense"})
    assert suggest_next(project) == found
