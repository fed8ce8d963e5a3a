"""The search language of the image list.

Words that stand apart must all hold; a minus in front turns one around; quotes keep blanks together::

    status:propagated,edited score:<0.7 label:nose -label:"left eye" name:*.png is:human cat
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from app.domain.status import Status
from coordgan_core.errors import CoordError

Field = Literal["text", "name", "status", "score", "label", "is"]
FIELDS: tuple[Field, ...] = ("name", "status", "score", "label", "is")
FLAGS = ("human", "machine", "missing", "labelled", "failed")
_NUMBER = re.compile(r"^(<=|>=|<|>|=)?\s*([0-9]*\.?[0-9]+)(%?)$")
_RANGE = re.compile(r"^([0-9]*\.?[0-9]+)\.\.([0-9]*\.?[0-9]+)$")
_WORD = re.compile(r'(-?)(?:(\w+):("[^"]*"?|\S*)|("[^"]*"?|\S+))')


class SearchError(CoordError):
    """A search cannot be understood; ``position`` is where the word starts."""

    def __init__(self, found: str, *, position: int, expected: str = "", remedy: str = "") -> None:
        self.position = position
        super().__init__(found, expected=expected, remedy=remedy)


@dataclass(frozen=True)
class Term:
    """One condition: ``field`` with its values; ``negated`` turns it around."""

    field: Field
    values: tuple[str, ...]
    negated: bool = False
    comparisons: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Query:
    """All conditions of a search; an image is shown if all hold."""

    terms: tuple[Term, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is shown."""
        return not self.terms


def parse(text: str) -> Query:
    """Read a search.

    Raises:
        SearchError: A field, status, flag or number is unknown.
    """
    terms = []
    for match in _WORD.finditer(text):
        minus, field, of_field, alone = match.groups()
        if field is not None and field.lower() not in FIELDS:
            raise SearchError(
                f"there is no search word {field}:",
                position=match.start(),
                expected=", ".join(f"{name}:" for name in FIELDS),
                remedy="put names that hold a colon into quotes",
            )
        value = (alone if field is None else of_field).strip('"')
        if not value:
            raise SearchError("a search word without a value", position=match.start(), expected="a value")
        terms.append(_term((field or "text").lower(), value, bool(minus), match.start()))
    return Query(tuple(terms))


def _term(field: str, value: str, negated: bool, position: int) -> Term:  # noqa: FBT001
    if field == "score":
        return Term("score", (value,), negated, _comparisons(value, position))
    if field == "status":
        values = tuple(v for v in value.lower().split(",") if v)
        _known(values, [s.value for s in Status], "status", position)
        return Term("status", values, negated)
    if field == "is":
        values = tuple(v for v in value.lower().split(",") if v)
        _known(values, FLAGS, "property", position)
        return Term("is", values, negated)
    if field == "label":
        return Term("label", tuple(v for v in value.split(",") if v), negated)
    return Term("name" if field == "name" else "text", (value,), negated)


def _known(values: Iterable[str], known: Iterable[str], what: str, position: int) -> None:
    unknown = [v for v in values if v not in known]
    if unknown or not list(values):
        raise SearchError(
            f"there is no {what} {', '.join(unknown) or 'given'}",
            position=position,
            expected="one of " + ", ".join(known),
        )


def _comparisons(value: str, position: int) -> tuple[tuple[str, float], ...]:
    found = _RANGE.match(value)
    if found:
        return ((">=", float(found[1])), ("<=", float(found[2])))
    number = _NUMBER.match(value)
    if number is None:
        raise SearchError(
            f"{value} is not a score",
            position=position,
            expected="a comparison such as <0.7, >=0.2 or 0.2..0.7",
        )
    scale = 0.01 if number[3] else 1.0
    return ((number[1] or "=", float(number[2]) * scale),)


def complete(text: str, cursor: int, class_names: Iterable[str]) -> list[str]:
    """Return what the word under the cursor could become, best first."""
    word = text[:cursor].rsplit(" ", 1)[-1].removeprefix("-")
    field, colon, start = word.partition(":")
    if not colon:
        return [f"{name}:" for name in FIELDS if word and name.startswith(word.lower())]
    choices = {
        "status": [s.value for s in Status],
        "is": list(FLAGS),
        "label": [f'"{n}"' if " " in n else n for n in class_names],
        "score": ["<0.5", "<0.7", ">=0.9"],
    }.get(field.lower(), [])
    begun = start.rsplit(",", 1)[-1].strip('"').casefold()
    return [choice for choice in choices if choice.strip('"').casefold().startswith(begun)]
