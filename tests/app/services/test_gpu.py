"""The way to a build for the graphics card, without window or network: the server is on this computer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app.services.gpu import fetch
from app.services.gpu.acquire import fetch_build, install_files
from app.services.gpu.active import adopt, this_python
from app.services.gpu.choice import BUILDS, suitable, why_none
from app.services.gpu.errors import BrokenOffError, GpuError
from app.services.gpu.index import best, needed, read_page
from app.services.gpu.machine import Card, look
from app.services.gpu.probe import Probe, probe
from app.services.gpu.store import Store
from coordgan_core.torch_folder import TORCH_VARIABLE
from tests.app.services.wheel_server import WheelServer, make_libraries, make_torch, make_wheel, serving

VERSION = "2.13.0+cpu"
LINES = [build for build in BUILDS if build.tag == "cu130"]
COMPUTES = Probe("2.13.0+cu130", "13.0", ("Made-up card",))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_torch(folder, "2.13.0+cu130", padding=3_000_000)
    make_torch(folder, "2.12.0+cu130")
    make_libraries(folder)
    return folder


def fetch_all(store: Store, url: str, found: Probe = COMPUTES) -> list[str]:
    return [p.text for p in fetch_build(store, LINES, url, VERSION, lambda _folder: found)]


# --- what there is


def test_cards_are_read_from_what_the_driver_says() -> None:
    told = "NVIDIA GeForce RTX 3060, 580.95.05, 12288, 8.6\nTesla K80, 470.1, [N/A], 3.7\n\n"
    machine = look(lambda: told, system="linux")
    assert machine.cards == (
        Card("NVIDIA GeForce RTX 3060", "580.95.05", 12288, 8.6),
        Card("Tesla K80", "470.1", 0, 3.7),
    )
    assert machine.problem == ""


def test_a_computer_without_a_driver_says_so() -> None:
    def ask() -> str:
        raise FileNotFoundError

    assert "No driver" in look(ask, system="linux").problem
    assert "knows of no" in look(lambda: "", system="linux").problem
    assert "processor" in look(lambda: "x, 1", system="darwin").problem


@pytest.mark.parametrize(
    ("card", "system", "tags"),
    [
        (Card("RTX 3060", "596.1", 0, 8.6), "linux", ["cu130", "cu132", "cu129", "cu126"]),
        (Card("RTX 3060", "580.65.06", 0, 8.6), "linux", ["cu130", "cu129", "cu126"]),
        (Card("RTX 3060", "550.54.14", 0, 8.6), "linux", ["cu129", "cu126"]),
        (Card("RTX 5090", "550.54.14", 0, 12.0), "linux", ["cu129"]),
        (Card("GTX 1080", "580.95", 0, 6.1), "linux", ["cu126"]),
        (Card("GTX 1080", "527.41", 0, 6.1), "win32", ["cu126"]),
        (Card("Tesla K80", "550.1", 0, 3.7), "linux", []),
        (Card("RTX 3060", "470.1", 0, 8.6), "linux", []),
    ],
)
def test_builds_fit_card_and_driver(card: Card, system: str, tags: list[str]) -> None:
    assert [build.tag for build in suitable(card, system=system)] == tags


def test_what_does_not_fit_is_explained() -> None:
    assert "generation 3.7" in why_none(Card("Tesla K80", "550.1", 0, 3.7))
    assert "update it" in why_none(Card("RTX 3060", "470.1", 0, 8.6))


# --- the index


def test_only_wheels_with_a_checksum_count() -> None:
    page = f"""<a href="torch-2.13.0-py3-none-any.whl">no checksum</a>
    <a href="/x/torch-2.13.0%2Bcu130-py3-none-any.whl#sha256={"a" * 64}">one</a>
    <a href="torch-2.13.0-py3-none-any.whl#md5=00">weak</a>
    <a href="notes.txt#sha256={"b" * 64}">no wheel</a>"""
    (wheel,) = read_page(page, "https://example.invalid/whl/cu130/torch/")
    assert wheel.url == "https://example.invalid/x/torch-2.13.0%2Bcu130-py3-none-any.whl"
    assert (str(wheel.version), wheel.sha256) == ("2.13.0+cu130", "a" * 64)


def test_wheels_of_other_systems_and_versions_are_left_alone() -> None:
    names = ["2.13.0-cp27-none-win32", "2.12.0-py3-none-any", "2.13.0-py3-none-any", "2.13.1-py3-none-any"]
    page = "".join(f'<a href="torch-{name}.whl#sha256={"0" * 64}">x</a>' for name in names)
    found = best(read_page(page, "https://example.invalid/"), Requirement("torch==2.13.0"))
    assert found is not None
    assert found.filename == "torch-2.13.0-py3-none-any.whl"


def test_only_what_the_program_lacks_is_needed() -> None:
    metadata = """Name: torch
Requires-Dist: sympy>=1.13
Requires-Dist: triton==3.5
Requires-Dist: nvidia-nccl==2.1; platform_system == "Nowhere"
Requires-Dist: nvidia-cublas==13.1; extra == "cublas"
Requires-Dist: nvidia-cudnn-cu13==9.2

Requires-Dist: nvidia-of-the-description==1
"""
    assert [each.name for each in needed(metadata, ())] == ["nvidia-cudnn-cu13"]
    assert [each.name for each in needed(metadata, ("cublas",))] == ["nvidia-cublas", "nvidia-cudnn-cu13"]


# --- from the click to the build


@pytest.mark.parametrize("metadata", [False, True])
def test_a_build_is_fetched_checked_and_used(tmp_path: Path, wheels: Path, metadata: bool) -> None:
    store = Store(tmp_path / "data")
    with serving(WheelServer(wheels, metadata=metadata)) as server:
        told = fetch_all(store, server.url)
    build = store.active()
    assert build is not None
    assert (build.version, build.cuda, build.python) == ("2.13.0+cu130", "CUDA 13.0", this_python())
    assert (build.folder / "nvidia/cublas/lib/libcublas.so.13").read_bytes() == b"a library"
    assert not (build.folder / "torch/include").exists(), "what is not needed is not kept"
    assert [path.name for path in (build.folder / "torch/bin").iterdir()] == ["torch_shm_manager"]
    assert not store.downloads.exists()
    assert {"looking for the build", "unpacking", "trying it"} <= set(told)
    assert not any("triton" in path or "filelock" in path for _, path, _ in server.asked)


def test_a_broken_connection_is_continued_where_it_broke(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with serving(WheelServer(wheels, cut=2_000_000, metadata=True)) as server:
        with pytest.raises(BrokenOffError, match="what has come stays"):
            fetch_all(store, server.url)
        assert store.active() is None
        fetch_all(store, server.url)
    ranges = [span for _, path, span in server.asked if "torch" in path and span]
    assert ranges == ["bytes=2000000-"]
    assert store.active() is not None


def test_half_a_page_is_no_page(tmp_path: Path, wheels: Path) -> None:
    server = WheelServer(wheels, cut=20)
    server.cut_ending = "/torch/"
    with serving(server), pytest.raises(BrokenOffError, match="20 of"):
        fetch_all(Store(tmp_path / "data"), server.url)


def test_stopping_keeps_what_has_come(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with serving(WheelServer(wheels, metadata=True)) as server:
        work = fetch_build(store, LINES, server.url, VERSION, lambda _folder: COMPUTES)
        while not next(work).done:
            pass
        work.close()
        (part,) = store.downloads.glob("*.part")
        assert 0 < part.stat().st_size < (wheels / part.stem).stat().st_size
        fetch_all(store, server.url)
        assert any(span for _, _, span in server.asked)


def test_a_server_that_cannot_continue_begins_anew(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with serving(WheelServer(wheels, cut=1_500_000, ranges=False, metadata=True)) as server:
        with pytest.raises(BrokenOffError):
            fetch_all(store, server.url)
        fetch_all(store, server.url)
    assert store.active() is not None


def test_what_has_another_checksum_is_thrown_away(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with (
        serving(WheelServer(wheels, wrong=True, metadata=True)) as server,
        pytest.raises(GpuError, match="another checksum"),
    ):
        fetch_all(store, server.url)
    assert list(store.downloads.iterdir()) == []
    assert store.builds() == []


def test_a_build_that_does_not_compute_is_not_kept(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with serving(WheelServer(wheels)) as server, pytest.raises(GpuError, match="finds no graphics card"):
        fetch_all(store, server.url, Probe("2.13.0+cu130", "13.0"))
    assert store.active() is None
    assert store.builds() == []
    assert list(store.downloads.glob("*.whl")), "a new driver must not mean a new download"


def test_a_version_that_is_not_offered_is_named(tmp_path: Path, wheels: Path) -> None:
    with serving(WheelServer(wheels)) as server, pytest.raises(GpuError, match=r"9\.9.*CUDA 13\.0"):
        list(fetch_build(Store(tmp_path), LINES, server.url, "9.9", lambda _: COMPUTES))


def test_an_index_that_others_can_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GpuError, match="not safe"):
        fetch.read("http://example.invalid/whl/cu130/torch/")
    with pytest.raises(GpuError, match="not safe"):
        fetch.read(f"file://{tmp_path}")


# --- from files


def test_a_build_comes_from_files_too(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    wheel = next(wheels.glob("torch-2.13*.whl"))
    list(install_files(store, wheel, VERSION, lambda _folder: COMPUTES))
    build = store.active()
    assert build is not None
    assert (build.folder / "nvidia/cublas/lib/libcublas.so.13").exists()


def test_files_of_another_version_or_incomplete_ones_are_refused(tmp_path: Path, wheels: Path) -> None:
    store = Store(tmp_path / "data")
    with pytest.raises(GpuError, match="does not fit"):
        list(install_files(store, next(wheels.glob("torch-2.12*.whl")), VERSION, lambda _: COMPUTES))
    with pytest.raises(GpuError, match="does not fit"):
        list(install_files(store, next(wheels.glob("nvidia*.whl")), VERSION, lambda _: COMPUTES))
    next(wheels.glob("nvidia_cublas*.whl")).unlink()
    with pytest.raises(GpuError, match="lacks nvidia-cublas==13.1"):
        list(install_files(store, next(wheels.glob("torch-2.13*.whl")), VERSION, lambda _: COMPUTES))
    assert store.builds() == []


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a\\evil.py", "C:evil.py"])
def test_a_wheel_cannot_write_beside_its_folder(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, "torch", "2.13.0", {"torch/__init__.py": b"", name: b"x"})
    with pytest.raises(GpuError, match="leads out of the folder"):
        list(Store(tmp_path / "data").unpack([wheel], "2.13.0"))
    assert not list(tmp_path.rglob("*evil.py"))


def test_a_changed_file_in_a_wheel_is_noticed_and_nothing_stays(tmp_path: Path) -> None:
    wheel = make_torch(tmp_path, "2.13.0+cu130", damage="torch/lib/libtorch_cuda.so")
    store = Store(tmp_path / "data")
    with pytest.raises(GpuError, match="not what its record says"):
        list(store.unpack([wheel], "2.13.0+cu130"))
    assert list(store.folder.iterdir()) == []


# --- using it


def test_the_build_is_used_by_new_processes_only_while_it_fits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    wheel = make_torch(tmp_path / "wheels", "2.13.0+cu130")
    list(store.unpack([wheel], "2.13.0+cu130"))
    build = store.builds()[0]
    environment: dict[str, str] = {}
    assert adopt(tmp_path, VERSION, environment) is None, "unpacked is not chosen"
    store.activate(build)
    assert adopt(tmp_path, "2.14.0+cpu", environment) is None, "of another version of the program"
    assert environment == {}
    assert adopt(tmp_path, VERSION, environment) == build
    assert environment == {TORCH_VARIABLE: str(build.folder)}
    assert adopt(tmp_path, VERSION, {TORCH_VARIABLE: "/own"}) is None, "a person's choice stays"
    store.remove(build)
    assert adopt(tmp_path, VERSION, {}) is None
    assert store.active() is None


@pytest.mark.parametrize(
    "content", ["", "[]", '{"version": 3}', '{"version": "../.."}', '{"version": "gone"}']
)
def test_a_damaged_choice_is_no_choice(tmp_path: Path, content: str) -> None:
    (tmp_path / "pytorch").mkdir()
    (tmp_path / "pytorch" / "active.json").write_text(content)
    assert adopt(tmp_path, VERSION, {}) is None


def test_the_real_engine_loads_the_private_build(tmp_path: Path) -> None:
    store = Store(tmp_path)
    list(store.unpack([make_torch(tmp_path / "wheels", "2.13.0+cu130")], "2.13.0+cu130"))
    assert probe(store.builds()[0].folder) == COMPUTES


def test_a_build_that_cannot_be_loaded_tells_why(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libcudart.so.13 is missing')")
    assert "libcudart.so.13 is missing" in probe(tmp_path).problem
    assert "exit code 3" in probe(command=[sys.executable, "-c", "raise SystemExit(3)"]).problem
    assert probe(command=["/no/such/program"]).problem
