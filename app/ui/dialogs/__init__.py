"""The dialogs and the welcome page."""
