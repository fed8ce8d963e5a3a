"""Fixtures of the tests that fake nothing."""

from tests.app.conftest import qapp  # noqa: F401  the application without a screen
