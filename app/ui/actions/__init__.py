"""The table of actions and what is made of it."""

from app.ui.actions.registry import ActionRegistry
from app.ui.actions.spec import ActionSpec
from app.ui.actions.table import ACTION_BY_ID, ACTIONS

__all__ = ["ACTIONS", "ACTION_BY_ID", "ActionRegistry", "ActionSpec"]
