"""What `train` says before it trains: the data check, the estimate, the devices."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.output import EXIT_FINDINGS, console, duration, print_json, print_line
from coordgan_core.config import Config
from coordgan_core.reports import DataReport, Estimate

if TYPE_CHECKING:
    from coordgan_core.training.profiling import Profile


def check(
    config: Config,
    images: Path,
    *,
    labels: Path | None,
    recursive: bool,
    contact_sheet: Path | None,
    as_json: bool,
) -> int:
    """Run the data check and print its report; return 1 if the images cannot be trained on."""
    from coordgan_core.data.check import check_images

    events = check_images(
        images,
        recursive=recursive,
        cropping=config.model.crop,
        labels=labels,
        resolution=config.model.image_px,
        contact_sheet=contact_sheet,
        gpu=shutil.which("nvidia-smi") is not None,  # a guess, but PyTorch would take seconds to say it
    )
    report = _followed(events, "looking at images", as_json=as_json)
    assert isinstance(report, DataReport)
    if not as_json:
        _print_report(report)
    return 0 if report.can_train else EXIT_FINDINGS


def estimate(
    config: Config,
    images: Path,
    run: Path | None,
    *,
    device: str,
    labels: Path | None,
    recursive: bool,
    as_json: bool,
) -> int:
    """Measure ten steps of every stage and print what the training will take."""
    from coordgan_core.training.estimate import estimate as measure

    events = measure(config, images=images, run=run, device=device, labels=labels, recursive=recursive)
    found = _followed(events, "measuring", as_json=as_json)
    assert isinstance(found, Estimate)
    if not as_json:
        _print_estimate(found)
    return 0


def profile(
    config: Config,
    images: Path,
    *,
    device: str,
    labels: Path | None,
    recursive: bool,
    as_json: bool,
) -> int:
    """Measure some steps of every stage and print where their time goes."""
    from coordgan_core.training.profiling import Profile
    from coordgan_core.training.profiling import profile as measure

    events = measure(config, images=images, device=device, labels=labels, recursive=recursive)
    found = _followed(events, "measuring", as_json=as_json)
    assert isinstance(found, Profile)
    if not as_json:
        _print_profile(found)
    return 0


def devices(*, as_json: bool) -> int:
    """Print the devices a training can run on."""
    found = list(_devices())
    if as_json:
        print_json({"event": "devices", "devices": found})
    else:
        for item in found:
            free, total = item["free_bytes"] / 1e9, item["total_bytes"] / 1e9
            print_line(f"{item['id']}  {item['name']}  {free:.1f} of {total:.1f} GB free")
    return 0


def _devices() -> Iterator[dict[str, Any]]:
    import os

    import torch

    free, total = _host_memory()
    name = f"CPU, {os.cpu_count()} cores"
    yield {"id": "cpu", "name": name, "free_bytes": free, "total_bytes": total}
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        about = {"free_bytes": free, "total_bytes": total}
        yield {"id": f"cuda:{index}", "name": torch.cuda.get_device_name(index), **about}


def _host_memory() -> tuple[int, int]:
    import os

    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
    except (AttributeError, ValueError, OSError):  # Windows has none, macOS not all
        return 0, 0


def _followed(events: Iterator[Any], title: str, *, as_json: bool) -> Any:
    """Show progress until the last event; with JSON write every event as a line."""
    from rich.progress import Progress

    from coordgan_core.training.events import to_dict

    last: Any = None
    with Progress(console=console(), disable=as_json) as progress:
        task = progress.add_task(title, total=None)
        for last in events:
            if as_json:
                print_json(to_dict(last))
            values = vars(last)
            done, total = values.get("done", values.get("step")), values.get("total", values.get("steps"))
            if isinstance(done, int) and isinstance(total, int):
                name = f"{title} {values.get('stage', '')}".strip()
                progress.update(task, completed=done, total=total, description=name)
    return last


def _print_report(report: DataReport) -> None:
    print_line(f"{report.count} readable images in {report.images}")
    for width, height, count in report.sizes[:5]:
        print_line(f"  {width} x {height}: {count}")
    for name, reason in report.unreadable[:10]:
        print_line(f"  cannot be read: {name}: {reason}")
    for group in report.duplicates[:10]:
        print_line(f"  look alike: {', '.join(group[:4])}")
    print_line(report.alignment_text)
    for item in report.advice:
        print_line(f"{item.level}: {item.text}")
    if report.contact_sheet is not None:
        print_line(f"contact sheet: {report.contact_sheet}")


def _print_estimate(found: Estimate) -> None:
    print_line(f"On {found.device}, {found.images} images, {found.batch} a step:")
    for stage in found.stages:
        speed = f"{stage.images_per_second:.1f} images/s over {stage.steps} steps"
        print_line(f"  {stage.name}: {stage.total_nimg} images, {duration(stage.seconds)} ({speed})")
    print_line(f"time: {duration(found.seconds)}")
    if found.memory_bytes:
        print_line(f"memory: {found.memory_bytes / 1e9:.1f} of {found.memory_total_bytes / 1e9:.1f} GB")
    print_line(f"disk: {found.disk_bytes / 1e9:.2f} GB, {found.disk_free_bytes / 1e9:.1f} GB are free")
    for warning in found.warnings:
        print_line(f"warning: {warning}")


def _print_profile(found: Profile) -> None:
    print_line(
        f"On {found.device} in {found.precision}, {found.batch} images a step; "
        f"a large matrix product reaches {found.peak_flops / 1e12:.2f} TFLOP/s:"
    )
    for stage in found.stages:
        print_line(
            f"  {stage.name}: {stage.images_per_second:.1f} images/s, {stage.step_sec * 1e3:.1f} ms a step, "
            f"{stage.flops / 1e9:.1f} GFLOP, {stage.peak_share:.1%} of that peak"
        )
        for name, seconds in stage.parts_sec.items():
            print_line(f"    {name:10} {seconds * 1e3:9.1f} ms {seconds / stage.step_sec:6.1%}")
