"""`convert`: label maps from one format into another, without a project, compared with what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.opening import Json, progress_bar, tell
from app.commands.output import EXIT_DONE, EXIT_FINDINGS, counted, print_json, print_line
from app.commands.transfer import choices, known_format, probed

_PHASES = {"look": "Looking", "write": "Writing", "check": "Comparing"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("convert")(convert)


def convert(
    source: Annotated[Path, typer.Argument(help="The label maps: a folder, or the file of the format.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to; not the source.")],
    to: Annotated[str, typer.Option("--to", help="Format to write; `coordlabel formats` lists.")],
    origin: Annotated[str, typer.Option("--from", help="Format of the source; found out if not given.")] = "",
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images: for names, for formats without sizes, copies.")
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, a choice of the format; repeatable.")
    ] = None,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Put copies of the images beside the labels.")
    ] = False,
    check: Annotated[bool, typer.Option(help="Read it back and compare every image.")] = True,
    as_json: Json = False,
) -> None:
    """Convert label maps, say before what the format cannot hold, and after what share of each arrived."""
    from app.domain.formats import ExportOptions

    writer = known_format(to)
    reader = known_format(origin).name if origin else probed(source)
    options = ExportOptions(copy_images=copy_images, choices=choices(writer, choice or []))
    report = run(source, reader, out, to, images=images, options=options, verify=check)
    if as_json:
        print_json(report)
    else:
        print_line(f"{counted(report['written'], 'image')} written to {out}")
        if report["mean_iou"] is not None:
            worst = min(report["iou"].items(), key=lambda pair: pair[1])
            print_line(
                f"IoU with the source: mean {report['mean_iou']:.6f}, least {worst[1]:.6f} ({worst[0]})"
            )
        tell(f"failed: {key}: {reason}" for key, reason in report["failures"].items())
    raise typer.Exit(EXIT_FINDINGS if report["failures"] else EXIT_DONE)


def run(source: Path, reader: str, out: Path, to: str, **how: Any) -> dict[str, Any]:
    """Convert, with a bar; return what happened as JSON types."""
    from app.domain.formats import convert as converted

    written = 0
    failures: dict[str, str] = {}
    iou: dict[str, float] = {}
    warnings: tuple[str, ...] = ()
    with progress_bar() as bar:
        task = bar.add_task("Reading", total=None)
        for event in converted(source, reader, out, to, **how):
            text = _PHASES[event.phase]
            bar.update(task, description=text, completed=event.done, total=event.total)
            if event.warnings:
                warnings = event.warnings
                tell(f"warning: {warning}" for warning in warnings)
            if event.error:
                failures[event.key] = event.error
            elif event.phase == "write":
                written += 1
            if event.iou is not None:
                iou[event.key] = round(event.iou, 6)
    mean = sum(iou.values()) / len(iou) if iou else None
    return {
        "from": reader,
        "to": to,
        "out": str(out),
        "written": written,
        "mean_iou": mean,
        "iou": iou,
        "warnings": list(warnings),
        "failures": failures,
    }
