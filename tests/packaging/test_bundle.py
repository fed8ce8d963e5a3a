"""What goes in, what stays out, what it weighs, and under which terms it is handed out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from installers import budget, contents
from installers.inventory import Component, inventory, read_bundled
from installers.licences import problems, write_licences
from installers.product import ROOT, Product
from installers.sbom import bill
from packaging.requirements import Requirement

from app.cli import MODULES
from app.commands.doctor import PACKAGES as LOOKED_UP

WITHOUT = """
import importlib, io, pkgutil, sys
out = sys.argv[1:]
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if any(name == part or name.startswith(part + ".") for part in out):
            raise ModuleNotFoundError("left out: " + name, name=name)
sys.meta_path.insert(0, Absent)
import app, coordgan_core
for package in (app, coordgan_core):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
import numpy as np, pyqtgraph
from scipy.io import loadmat, savemat
from scipy.ndimage import find_objects
from app.domain.assist import superpixels
file = io.BytesIO()
savemat(file, {"labels": np.indices((30, 40))[1]})
file.seek(0)
picture = np.repeat(loadmat(file)["labels"][..., None] * 6, 3, axis=2).astype(np.uint8)
print(len(find_objects(superpixels(picture, size_px=10) + 1)))
"""
WHAT = Product(version="1.2.3", summary="x")


@pytest.mark.parametrize(
    "name",
    [
        "torch/lib/libtorch_cpu.so",
        "torch/_C.cpython-311-x86_64-linux-gnu.so",
        "torch/lib/libgomp.so.1",
        "torch/bin/torch_shm_manager",
        "openvino/libs/libopenvino.so.2641",
        "openvino/libs/libopenvino_intel_cpu_plugin.so",
        "openvino/libs/libopenvino_pytorch_frontend.so.2641",
        "openvino/frontend/pytorch/py_pytorch_frontend.cpython-311-x86_64-linux-gnu.so",
        "openvino/libs/libtbb.so.12",
        "PySide6/QtWidgets.abi3.so",
        "PySide6/QtWidgets.pyd",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/plugins/platforms/libqoffscreen.so",
        "PySide6\\plugins\\platforms\\qwindows.dll",
        "PySide6/Qt/plugins/imageformats/libqsvg.so",
        "PySide6/Qt/plugins/iconengines/libqsvgicon.so",
        "PySide6/Qt/lib/libQt6Svg.so.6",
        "PySide6/Qt6Widgets.dll",
        "resources/models/sample.safetensors",
        "resources/models/faces.safetensors",
        "resources/sample_project/images/figure-01.jpg",
        "torch-2.13.0.dist-info/METADATA",
        "libstdc++.so.6",
        "libxcb-cursor.so.0",
        "skimage/__init__.pyi",
        "skimage/segmentation/__init__.pyi",
        "scipy/ndimage/_nd_image.so",
        "PySide6/Qt/translations/qtbase_de.qm",
    ],
)
def test_what_is_needed_stays(name: str) -> None:
    assert contents.is_wanted(name)


@pytest.mark.parametrize(
    "name",
    [
        "PySide6/QtQml.abi3.so",
        "PySide6/QtDesigner.pyd",
        "PySide6/Qt/lib/libQt6Quick.so.6",
        "PySide6\\Qt6Quick.dll",
        "PySide6/Qt/qml/QtQuick/plugin.so",
        "PySide6/Qt/plugins/sqldrivers/libqsqlite.so",
        "PySide6/Qt/plugins/platformthemes/libqgtk3.so",
        "PySide6/Qt/translations/qtwebengine_de.qm",
        "PySide6/Qt/translations/qt_help_de.qm",
        "scipy/optimize/_highspy/_core.so",
        "skimage\\filters\\rank\\generic_cy.pyd",
        "skimage/segmentation/_slic.pyi",
        "torch/include/ATen/ATen.h",
        "torch/lib/libtorch.a",
        "torch/bin/protoc",
        "openvino/libs/libopenvino_intel_gpu_plugin.so",
        "openvino/libs/libopenvino_auto_batch_plugin.so",
        "openvino/libs/libopenvino_tensorflow_lite_frontend.so.2641",
        "openvino/frontend/onnx/py_onnx_frontend.cpython-311-x86_64-linux-gnu.so",
        "openvino/include/openvino/openvino.hpp",
        "torch/lib/libtorchbind_test.so",
        "numpy/_core/tests/test_umath.py",
        "coordlabel-0.1.0.dist-info/direct_url.json",
        "libGL.so.1",
        "libc.so.6",
        "libfontconfig.so.1",
    ],
)
def test_what_is_not_needed_goes(name: str) -> None:
    assert not contents.is_wanted(name)


def test_libraries_that_nothing_needs_any_more_go_too() -> None:
    table = [
        ("app.so", "/v/app.so", "EXTENSION"),
        ("liba.so.1", "/s/liba.so.1", "BINARY"),
        ("libb.so.1", "/s/libb.so.1", "BINARY"),
        ("libalone.so.1", "/s/libalone.so.1", "BINARY"),
        ("libpython3.11.so.1.0", "/s/libpython3.11.so.1.0", "BINARY"),
        ("x/libx.so", "/v/x/libx.so", "BINARY"),
        ("libx.so", "x/libx.so", "SYMLINK"),
        ("libgone.so", "x/libgone.so", "SYMLINK"),
    ]
    needs = {"/v/x/libx.so": ["liba.so.1", "libc.so.6"], "/s/liba.so.1": ["libb.so.1"]}
    left = contents.without_orphans(table, lambda path: needs.get(path, []))
    assert [name for name, _, _ in left] == [
        "app.so",
        "liba.so.1",
        "libb.so.1",
        "libpython3.11.so.1.0",
        "x/libx.so",
        "libx.so",
    ]


def test_a_library_that_nobody_brings_is_named_with_who_needs_it(tmp_path: Path) -> None:
    (tmp_path / "Qt" / "plugins").mkdir(parents=True)
    for name in ("Qt/plugins/libqxcb.so", "Qt/libQt6Core.so.6", "libxcb-cursor.so.0"):
        (tmp_path / name).write_bytes(b"")
    needs = {
        "libqxcb.so": [
            "libQt6Core.so.6",
            "libxcb-cursor.so.0",
            "libxcb-icccm.so.4",
            "libc.so.6",
            "libGL.so.1",
        ],
        "libQt6Core.so.6": ["ld-linux-x86-64.so.2", "libresolv.so.2"],
    }
    found = contents.missing_libraries(tmp_path, lambda path: needs.get(Path(path).name, []))
    assert found == {"libxcb-icccm.so.4": ["Qt/plugins/libqxcb.so"]}


def test_links_to_pytorch_would_stand_before_a_private_build() -> None:
    link = ("libtorch_cpu.so", "torch/lib/libtorch_cpu.so", "SYMLINK")
    other = ("libQt6Core.so.6", "PySide6/Qt/lib/libQt6Core.so.6", "SYMLINK")
    assert contents.wanted([link, other]) == [other]


def test_openvino_finds_its_plugins_where_it_is_loaded_from() -> None:
    link = ("libopenvino.so.2641", "openvino/libs/libopenvino.so.2641", "SYMLINK")
    assert contents.wanted([link]) == []


def test_openvino_is_where_it_was_measured_and_reports_to_nobody() -> None:
    assert contents.has_openvino("linux", "x86_64")
    assert not contents.has_openvino("win32", "AMD64")
    assert not contents.has_openvino("darwin", "arm64")
    assert {"openvino_telemetry", "openvino.tools"} <= set(contents.EXCLUDED_MODULES)
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dist"]
    (needed,) = (Requirement(line) for line in extra if line.startswith("openvino"))
    assert needed.marker is not None
    for system, machine in (
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("win32", "AMD64"),
        ("darwin", "arm64"),
    ):
        given = {"sys_platform": system, "platform_machine": machine}
        assert needed.marker.evaluate(given) == contents.has_openvino(system, machine)


def test_every_version_that_is_looked_up_is_in_the_bundle() -> None:
    assert set(LOOKED_UP) <= set(contents.METADATA)


def test_the_science_that_is_left_out_is_not_missed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, *contents.UNUSED_SCIENCE],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1


def test_nothing_of_ours_is_excluded() -> None:
    ours = {"app", "coordgan_core", "resources", *(f"app.commands.{name}" for name in MODULES)}
    assert not ours & set(contents.EXCLUDED_MODULES)
    assert {"tests", "pytest", "readline"} <= set(contents.EXCLUDED_MODULES)


def test_the_specification_uses_the_lists_and_names_no_file_of_its_own() -> None:
    text = (ROOT / "packaging" / "coordlabel.spec").read_text(encoding="utf-8")
    compile(text, "coordlabel.spec", "exec")
    for name in ("EXCLUDED_MODULES", "HIDDEN_IMPORTS", "METADATA", "wanted", "product()"):
        assert name in text
    assert "upx=True" not in text, "packed programs are taken for viruses"


# --- sizes


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_a_bundle_over_its_budget_is_refused_by_name_of_its_largest(tmp_path: Path) -> None:
    write(tmp_path / "small", 1000)
    write(tmp_path / "lib" / "big", 1_500_000)
    (tmp_path / "link").symlink_to("lib/big")
    assert budget.check_unpacked(tmp_path, 2) == 1_501_000
    with pytest.raises(budget.BudgetError, match=r"lib/big 2 MB"):
        budget.check_unpacked(tmp_path, 1)


def test_downloads_over_budget_are_refused_and_over_the_aim_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = budget.Artefact.of(write(tmp_path / "a.deb", 3_000_000))
    assert artefact.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert budget.check_compressed([artefact]) == []
    monkeypatch.setattr(budget, "AIM_MB", 2)
    assert "aim" in budget.check_compressed([artefact])[0]
    with pytest.raises(budget.BudgetError, match=r"a\.deb"):
        budget.check_compressed([artefact], 2)


def test_the_budgets_are_those_of_the_plan() -> None:
    assert (budget.UNPACKED_MB, budget.COMPRESSED_MB, budget.AIM_MB) == (1200, 450, 250)


# --- terms


def test_files_are_traced_to_what_they_came_with(tmp_path: Path) -> None:
    import json as stdlib

    import numpy
    import typer

    listed = {
        "files": [
            ["numpy/x.so", str(Path(numpy.__file__).parent / "_core" / "__init__.py"), "BINARY"],
            ["link", "somewhere", "SYMLINK"],
        ],
        "modules": [
            ["typer", typer.__file__, "PYMODULE"],
            ["json", stdlib.__file__, "PYMODULE"],
            ["app.cli", str(ROOT / "app" / "cli.py"), "PYMODULE"],
            ["built", "-", "PYMODULE"],
        ],
    }
    path = tmp_path / "bundled.json"
    path.write_text(json.dumps(listed))
    found = {component.name: component for component in inventory(read_bundled(path))}
    assert set(found) == {"numpy", "typer", "Python", "coordlabel"}
    assert "BSD" in found["numpy"].licence
    assert found["typer"].licence == "MIT"
    assert found["typer"].texts, "the text itself"
    assert found["Python"].version == sys.version.split()[0]


def test_what_is_of_unknown_origin_is_a_problem(tmp_path: Path) -> None:
    (component,) = inventory([tmp_path / "libfound.so.1"])
    assert "nobody knows" in problems([component])[0]


def test_licences_are_copied_and_gaps_are_told(tmp_path: Path) -> None:
    text = tmp_path / "LICENSE"
    text.write_text("Do as you like.")
    nested = tmp_path / "licenses" / "third" / "LICENSE"
    nested.parent.mkdir(parents=True)
    nested.write_text("Do not.")
    good = Component("good", "1", "pypi", "MIT", [text, nested])
    silent = Component("silent", "2", "pypi")
    textless = Component("textless", "3", "deb", "MIT")
    own = Component("coordlabel", "4", "project")
    told = write_licences([good, silent, textless, own], tmp_path / "out")
    assert len(told) == 2
    assert "names no licence" in told[0]
    assert "text of MIT is missing" in told[1]
    assert sorted(p.name for p in (tmp_path / "out" / "good-1").iterdir()) == ["LICENSE", "third__LICENSE"]
    assert "good 1: MIT (2 files)" in (tmp_path / "out" / "THIRD-PARTY-NOTICES.txt").read_text()


def test_the_licence_of_qt_is_kept_here_because_its_wheel_does_not_hold_it() -> None:
    import PySide6

    (found,) = inventory([Path(PySide6.__file__)])
    assert {path.stem for path in found.texts} >= {"LGPL-3.0", "GPL-3.0"}


def test_the_bill_of_materials_is_cyclonedx() -> None:
    parts = [
        Component(
            "torch", "2.13.0+cpu", "pypi", "BSD-3-Clause AND MIT", homepage="https://pytorch.org", files=3
        ),
        Component("libssl3", "3.0", "deb", "Apache-2.0; Artistic"),
        Component("coordlabel", "1.2.3", "project"),
    ]
    told = bill(WHAT, parts, when=datetime(2026, 1, 2, tzinfo=UTC))
    assert (told["bomFormat"], told["specVersion"], told["version"]) == ("CycloneDX", "1.6", 1)
    assert told["metadata"]["timestamp"] == "2026-01-02T00:00:00Z"
    assert told["metadata"]["component"]["version"] == "1.2.3"
    torch, ssl = told["components"]
    assert torch["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert torch["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert ssl["purl"] == "pkg:deb/debian/libssl3@3.0"
    assert ssl["licenses"] == [{"license": {"name": "Apache-2.0; Artistic"}}]
    references = [part["bom-ref"] for part in told["components"]]
    assert len(set(references)) == len(references)
    assert told["dependencies"][0]["dependsOn"] == references
    again = bill(WHAT, parts)
    assert again["serialNumber"] == told["serialNumber"], "the same content has the same number"
    assert bill(WHAT, parts[1:])["serialNumber"] != told["serialNumber"]
