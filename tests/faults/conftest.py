"""The fixtures of the application's tests."""

from tests.app.conftest import images, project, qapp, wait_until

__all__ = ["images", "project", "qapp", "wait_until"]
