"""Dialogs and what follows from them: propagate, export, import, settings, shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog

from app.services.job_values import JobState
from app.ui.texts import plural, tr

if TYPE_CHECKING:
    from app.services.hardware import Hardware
    from app.services.propagation import PropagationRequest
    from app.ui.main_window import MainWindow


EDIT = 2
"""Result of the shortcut sheet when shortcuts shall be changed."""


class Flows(QObject):
    """Asks, then starts a job or changes a setting; every dialog is imported when it is first needed."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._context = window.context
        self._context.jobs.finished.connect(self._job_finished)
        self._hardware: Hardware | None = None

    # -- propagation -------------------------------------------------------------------------------

    def ask_propagate(self) -> None:
        """Ask for model, references and range; run in the background."""
        from app.ui.dialogs.propagate import PropagateDialog

        workspace = self._window.workspace
        if workspace is None:
            return
        shown = [int(i) for i in workspace.browser.model.ids] if workspace.browser.model.query else []
        dialog = PropagateDialog(
            workspace.project,
            self._context.engine,
            selected=workspace.browser.selected_ids(),
            shown=shown,
            parent=self._window,
        )
        dialog.trainAsked.connect(self._window.show_training)
        if _accepted(dialog):
            request = dialog.request()
            if request is not None:
                self.propagate(request)
        dialog.deleteLater()

    def propagate(self, request: PropagationRequest) -> int | None:
        """Start a propagation and show the jobs."""
        from app.services.propagation import start_propagation

        workspace = self._window.workspace
        if workspace is None:
            return None
        workspace.session.flush()
        job = start_propagation(workspace.session, self._context.engine, self._context.jobs, request)
        self._window.show_dock("jobs")
        return job

    def propagate_again(self) -> None:
        """Repeat the last propagation with the references there are now; human work stays."""
        from dataclasses import replace

        from app.services.propagation import last_request

        workspace = self._window.workspace
        if workspace is None:
            return
        last = last_request(workspace.project)
        if last is None:
            self.ask_propagate()
            return
        references = tuple(workspace.project.references())
        queries = tuple(int(i) for i in workspace.project.ids("") if int(i) not in set(references))
        if not references:
            self._window.say(tr("There is no reference yet"))
            return
        self.propagate(replace(last, references=references, queries=queries))

    def undo_last_batch(self) -> None:
        """Take back the newest propagation, import or merge."""
        workspace = self._window.workspace
        if workspace is None:
            return
        for run in workspace.project.runs():
            if run.kind != "status" and not run.undone and run.finished is not None:
                workspace.session.undo_run(run.id)
                return
        self._window.say(tr("There is no propagation to take back"))

    # -- export and import -------------------------------------------------------------------------

    def ask_export(self) -> None:
        """Ask for format and folder; write in the background."""
        from app.services.transfer import start_export
        from app.ui.dialogs.exporting import ExportDialog

        workspace = self._window.workspace
        if workspace is None:
            return
        workspace.session.flush()
        dialog = ExportDialog(
            workspace.project, workspace.browser.selected_ids(), workspace.worker, self._window
        )
        if _accepted(dialog):
            title = tr("Export to {name}", name=dialog.folder.name)
            start_export(
                workspace.session,
                self._context.jobs,
                dialog.ids(),
                dialog.format_name,
                dialog.folder,
                options=dialog.options,
                title=title,
            )
            self._window.show_dock("jobs")
        dialog.deleteLater()

    def ask_import(self) -> None:
        """Ask for format and source; read in the background."""
        from app.services.transfer import start_import
        from app.ui.dialogs.importing import ImportDialog

        workspace = self._window.workspace
        if workspace is None:
            return
        workspace.session.flush()
        dialog = ImportDialog(workspace.project, workspace.worker, self._window)
        if _accepted(dialog):
            start_import(
                workspace.session,
                self._context.jobs,
                dialog.format_name,
                dialog.source,
                dialog.mapping,
                overwrite=dialog.replaces,
                title=tr("Import from {name}", name=dialog.source.name),
            )
            self._window.show_dock("jobs")
        dialog.deleteLater()

    def _job_finished(self, job_id: int) -> None:
        view = self._context.jobs.view(job_id)
        if view.state is JobState.DONE:
            text = tr("{title}: done", title=view.title)
            if view.errors:
                text += "  ·  " + plural(len(view.errors), "{n} error", "{n} errors")
            self._window.say(text)
        elif view.state is JobState.FAILED:
            self._window.say(tr("{title} failed: {reason}", title=view.title, reason=view.message))
            self._window.show_dock("jobs")

    # -- windows about the window ------------------------------------------------------------------

    def show_settings(self, section: str = "") -> None:
        """Show the settings."""
        from app.ui.dialogs.settings import SettingsDialog

        dialog = SettingsDialog(self._context.settings, self._window)
        if section:
            dialog.show_section(section)
        dialog.exec()
        dialog.deleteLater()

    def show_palette(self) -> None:
        """Show the command palette."""
        from app.ui.dialogs.palette import CommandPalette

        palette = CommandPalette(self._window.actions_by_id, self._window)
        palette.finished.connect(palette.deleteLater)
        palette.show()

    def show_shortcuts(self) -> None:
        """Show all shortcuts."""
        from app.ui.dialogs.shortcuts import ShortcutSheet

        sheet = ShortcutSheet(self._window.actions_by_id.keys, self._window)
        sheet.edit_button.clicked.connect(lambda: sheet.done(EDIT))
        result = sheet.exec()
        sheet.deleteLater()
        if result == EDIT:
            self.edit_shortcuts()

    def edit_shortcuts(self) -> None:
        """Let shortcuts be changed."""
        from app.ui.dialogs.shortcuts import ShortcutEditor

        settings = self._context.settings
        editor = ShortcutEditor(settings.get("keys.preset"), self._window.own_keys(), self._window)
        if _accepted(editor):
            settings.set("keys.preset", editor.preset_name)
            self._window.set_own_keys(editor.changes)
        editor.deleteLater()

    def show_hardware(self) -> None:
        """Show on what models are computed, and how to use the graphics card."""
        from app.services.hardware import Hardware
        from app.ui.dialogs.hardware import HardwareDialog

        if self._hardware is None:
            self._hardware = Hardware(self._context.settings, self._context.engine, parent=self)
        dialog = HardwareDialog(self._hardware, self._window)
        dialog.exec()
        dialog.deleteLater()

    def close_hardware(self) -> None:
        """Stop what is being fetched; it goes on the next time it is asked for."""
        if self._hardware is not None:
            self._hardware.close()

    def show_diagnostics(self) -> None:
        """Show versions and places."""
        from app.services.diagnostics import version_info
        from app.ui.dialogs.diagnostics import DiagnosticsDialog

        dialog = DiagnosticsDialog(version_info(), self._context.settings.paths, self._window)
        dialog.hardwareAsked.connect(self.show_hardware)
        dialog.exec()
        dialog.deleteLater()


def _accepted(dialog: QDialog) -> bool:
    return dialog.exec() == QDialog.DialogCode.Accepted
