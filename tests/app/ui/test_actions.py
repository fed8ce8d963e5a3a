"""The table of actions is consistent, and every action has a hand."""

from __future__ import annotations

import pytest
import qtawesome
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import SIGNAL, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.ui.action_state import _NEEDS_PROJECT
from app.ui.actions.keys import Conflict, conflicts, keymap, normalise
from app.ui.actions.layout import GESTURES, MENUS, SECTIONS, TOOL_STRIP, TOOLBAR
from app.ui.actions.spec import PRESETS
from app.ui.actions.table import ACTION_BY_ID, ACTIONS
from app.ui.canvas.tools import TOOLS
from app.ui.commands import WORKSPACE_COMMANDS, WORKSPACE_TOGGLES
from app.ui.dialogs.palette import score
from app.ui.theme.tokens import STATUS_ICONS
from tests.app.ui.conftest import Desk


def test_ids_are_unique_and_belong_to_a_section() -> None:
    assert len(ACTION_BY_ID) == len(ACTIONS)
    assert {spec.id.partition(".")[0] for spec in ACTIONS} == set(SECTIONS)


def test_every_key_is_one_that_qt_knows() -> None:
    for preset in PRESETS:
        for action_id, keys in keymap(preset).items():
            assert all(normalise(key) for key in keys), action_id


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_uses_a_key_twice(preset: str) -> None:
    assert conflicts(keymap(preset)) == []


def test_a_conflict_is_found_however_it_is_spelled() -> None:
    keys = keymap("own", {"tool.brush": ("e",)})
    assert conflicts(keys) == [Conflict("E", "tool.brush", "tool.eraser")]


def test_menus_and_bars_name_existing_actions_and_leave_out_no_tool() -> None:
    named = [entry for _, entries in MENUS for entry in entries if entry != "-" and entry[0] != "@"]
    assert set(named) <= set(ACTION_BY_ID)
    assert len(named) == len(set(named)), "an action in two menus"
    assert {*TOOLBAR, *TOOL_STRIP} - {"-"} <= set(ACTION_BY_ID)
    tools = {f"tool.{tool.name}" for tool in TOOLS}
    assert tools == {spec.id for spec in ACTIONS if spec.group == "tool"} == set(TOOL_STRIP) - {"-"}


def test_every_icon_exists(qapp: QApplication) -> None:
    names = {spec.icon for spec in ACTIONS if spec.icon} | set(STATUS_ICONS.values())
    for name in names:
        assert not qtawesome.icon(name).isNull(), name


def test_every_action_does_something(desk: Desk) -> None:
    for spec in ACTIONS:
        action = desk.window.actions_by_id[spec.id]
        assert action.receivers(SIGNAL("triggered(bool)")) > 0, f"{spec.id} has no handler"
    assert set(WORKSPACE_COMMANDS) | set(WORKSPACE_TOGGLES) | _NEEDS_PROJECT <= set(ACTION_BY_ID)
    assert GESTURES


def test_without_a_project_only_general_actions_are_possible(desk: Desk) -> None:
    enabled = {i for i, action in desk.window.actions_by_id.actions.items() if action.isEnabled()}
    assert {"file.open", "file.sample", "help.palette", "file.settings", "file.quit"} <= enabled
    assert not {i for i in enabled if i.startswith(("tool.", "review.", "edit.", "image."))}


def test_bare_keys_are_text_in_a_text_field(desk: Desk, images: object) -> None:
    workspace = desk.open(images)  # type: ignore[arg-type]
    before = (workspace.image_id, workspace.canvas.tool.name, workspace.options.class_id)
    workspace.browser.search.setFocus()
    QTest.keyClicks(workspace.browser.search, "dape30")
    QTest.keyClick(workspace.browser.search, Qt.Key.Key_BracketRight)
    assert workspace.browser.search.text() == "dape30]"
    assert (workspace.image_id, workspace.canvas.tool.name, workspace.options.class_id) == before
    workspace.browser.search.clear()
    workspace.browser.apply_search()
    workspace.canvas.setFocus()
    desk.press(Qt.Key.Key_E)
    assert workspace.canvas.tool.name == "eraser"


def test_own_shortcuts_hold_after_a_restart_of_the_registry(desk: Desk) -> None:
    desk.window.set_own_keys({"tool.brush": ("Y",)})
    assert desk.window.actions_by_id["tool.brush"].shortcut().toString() == "Y"
    assert desk.window.own_keys() == {"tool.brush": ("Y",)}
    assert "Y" in desk.window.actions_by_id["tool.brush"].toolTip()
    desk.running.settings.set("keys.preset", "cvat")
    assert desk.window.actions_by_id["image.next"].shortcut().toString() == "F"
    assert desk.window.actions_by_id["tool.brush"].shortcut().toString() == "Y"


@given(st.sampled_from([spec.text for spec in ACTIONS]), st.integers(1, 12))
def test_the_palette_finds_an_action_by_any_beginning_of_its_name(text: str, length: int) -> None:
    assert score(text[:length], text) > 0
    assert score("qqqq", text) == 0
