"""What belongs to the application and not to one project."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.engine import EngineClient
from app.services.jobs import JobRunner
from app.services.recent import RecentProjects
from app.services.settings import Settings
from app.ui.theme import Theme


@dataclass(frozen=True)
class AppContext:
    """Settings, jobs, engine and appearance; made once by `app.launch`."""

    settings: Settings
    theme: Theme
    jobs: JobRunner
    engine: EngineClient
    recent: RecentProjects
