"""What documents tell people to type exists, and so do the files they point to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli import build_app

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/user-guide.md", "docs/benchmarks.md", "docs/models.md")


def commands(text: str) -> list[list[str]]:
    """Return the `coordlabel` commands in the fenced blocks of a Markdown text, as words."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(block for language, block in blocks if not language).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines if not line.startswith("#")]
    return [words[words.index("coordlabel") + 1 :] for words in found if "coordlabel" in words]


def unknown(words: list[str], group: Any) -> list[str]:
    """Return the command and the flags among ``words`` that the command line does not have."""
    if not words or words[0] not in group.commands:
        return words[:1]
    command = group.commands[words[0]]
    if words[1:] and words[1] in getattr(command, "commands", ()):
        return unknown(words[1:], command)
    options = {name for p in command.params for name in [*p.opts, *p.secondary_opts]}
    return [word for word in words[1:] if word.startswith("-") and word not in options]


def test_commands_are_found() -> None:
    text = "```\n# coordlabel no\npip install . && coordlabel demo\ncoordlabel maps \\\n  --out d  # e\n```\n"
    assert commands(text) == [["demo"], ["maps", "--out", "d"]]


def test_what_is_not_there_is_noticed() -> None:
    group = typer.main.get_command(build_app())
    assert unknown(["mops"], group) == ["mops"]
    assert unknown(["maps", "--out", "d", "--nothing"], group) == ["--nothing"]
    assert unknown(["models", "export", "m", "--half", "--nothing"], group) == ["--nothing"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_flags_exist(document: str) -> None:
    group = typer.main.get_command(build_app())
    found = commands((ROOT / document).read_text(encoding="utf-8"))
    assert found
    assert [unknown(words, group) for words in found] == [[]] * len(found)


@pytest.mark.parametrize("document", [*DOCUMENTS, "docs/library-guide.md"])
def test_commands_can_be_run_as_they_stand(document: str) -> None:
    group = typer.main.get_command(build_app())
    text = (ROOT / document).read_text(encoding="utf-8")
    found = commands(text) + commands(text.replace("-m app ", "coordlabel ").replace("torchrun", ""))
    assert found
    for words in found:
        parse(group, words)


def parse(group: Any, words: list[str]) -> None:
    """Read a command line to its end without running it; raises what a user would see."""
    if not words or words == ["FOLDER"]:
        return  # opens the window
    if "..." in words:  # left out for the reader
        assert words[0] in group.commands
        return
    with group.make_context("coordlabel", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        if hasattr(command, "commands") and rest and rest[0] in command.commands:
            parse(command, rest)
        else:
            command.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize(
    "words", [["evaluate"], ["maps", "--out"], ["accept"], ["export", "a", "b"], ["train", "--minutes", "x"]]
)
def test_a_command_that_cannot_be_run_is_noticed(words: list[str]) -> None:
    usage_error = typer.BadParameter.__mro__[1]
    with pytest.raises(usage_error):
        parse(typer.main.get_command(build_app()), words)


def test_every_verb_is_in_the_guide_and_the_readme() -> None:
    group: Any = typer.main.get_command(build_app())
    hidden = {name for name, command in group.commands.items() if command.hidden}
    for document in ("README.md", "docs/user-guide.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        missing = [name for name in group.commands if not re.search(rf"[`|, ]{name}\b", text)]
        assert set(missing) <= hidden, document


def test_every_verb_and_option_explains_itself() -> None:
    def check(command: Any, path: str) -> None:
        assert command.help, path
        for parameter in command.params:
            if parameter.name not in ("help", "install_completion", "show_completion"):
                assert getattr(parameter, "help", None), f"{path} {parameter.name}"
        for name, below in getattr(command, "commands", {}).items():
            check(below, f"{path} {name}")

    check(typer.main.get_command(build_app()), "coordlabel")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_names_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npip install . && coordlabel demo\n" in text
    assert '\npip install -e ".[test]" && python -m pytest\n' in text
