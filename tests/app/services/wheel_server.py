"""An index of made-up wheels on this computer: pages with checksums, ranges, and trouble on demand."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.tags import sys_tags

TORCH = """
__version__ = "{version}"
class version:
    cuda = "13.0"
class cuda:
    @staticmethod
    def is_available():
        return {works}
    @staticmethod
    def device_count():
        return 1
    @staticmethod
    def get_device_name(index):
        return "Made-up card"
"""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    needs: tuple[str, ...] = (),
    *,
    damage: str = "",
) -> Path:
    """Write a wheel for this Python; the record of the file ``damage`` is wrong."""
    tag = str(next(iter(sys_tags())))
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs) + "\nAbout it.\n"
    content = {**files, f"{info}/METADATA": metadata.encode()}
    rows = []
    for path, data in content.items():
        digest = hashlib.sha256(data + (b"!" if path == damage else b"")).digest()
        rows.append(f"{path},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},{len(data)}")
    record = "\n".join([*rows, f"{info}/RECORD,,"])
    path = folder / f"{stem}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for inside, data in {**content, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(inside, data)
    return path


def make_torch(folder: Path, version: str, *, works: bool = True, padding: int = 0, damage: str = "") -> Path:
    """Write a wheel of a PyTorch that says it computes on a card, and needs a library of NVIDIA."""
    files = {
        "torch/__init__.py": TORCH.format(version=version, works=works).encode(),
        "torch/lib/libtorch_cuda.so": bytes(range(256)) * (padding // 256 + 1),
        "torch/include/header.h": b"not needed",
        "torch/bin/protoc": b"not needed",
        "torch/bin/torch_shm_manager": b"without it PyTorch does not load",
    }
    needs = (
        "filelock",
        "triton==3.5; platform_system == 'Linux'",
        "nvidia-winding; platform_system == 'Nowhere'",
        "cuda-toolkit[cublas]==13.0.2",
    )
    return make_wheel(folder, "torch", version, files, needs, damage=damage)


def make_libraries(folder: Path) -> list[Path]:
    """Write what `make_torch` needs: a package of nothing but needs, and one of its extras."""
    blas = {"nvidia/cublas/lib/libcublas.so.13": b"a library"}
    return [
        make_wheel(folder, "cuda-toolkit", "13.0.2", {}, ("nvidia-cublas==13.1; extra == 'cublas'",)),
        make_wheel(folder, "nvidia-cublas", "13.1", blas),
    ]


class WheelServer:
    """What is served and what has been asked.

    Args:
        folder: Wheels of the line ``cu130``.
        cut: Of the first answer with a wheel of PyTorch only so many bytes are sent.
        ranges: Whether it can continue.
        wrong: Checksums on its pages are of something else.
        metadata: Whether it offers metadata apart from the wheels.
    """

    def __init__(
        self, folder: Path, *, cut: int = 0, ranges: bool = True, wrong: bool = False, metadata: bool = False
    ) -> None:
        self.folder = folder
        self.cut = cut
        self.cut_ending = ".whl"
        self.ranges = ranges
        self.wrong = wrong
        self.metadata = metadata
        self.asked: list[tuple[str, str, str]] = []
        self.url = ""

    def page(self, name: str) -> bytes | None:
        """Return the page of a distribution, None if there is none."""
        links = []
        for path in sorted(self.folder.glob(f"{name.replace('-', '_')}-*.whl")):
            digest = hashlib.sha256(path.read_bytes() + (b"!" if self.wrong else b"")).hexdigest()
            offered = ""
            if self.metadata:
                offered = f' data-core-metadata="sha256={hashlib.sha256(self.about(path)).hexdigest()}"'
            file = path.name.replace("+", "%2B")
            links.append(f'<a href="/files/{file}#sha256={digest}"{offered}>{path.name}</a><br>')
        return ("<!DOCTYPE html><html><body>" + "\n".join(links)).encode() if links else None

    @staticmethod
    def about(path: Path) -> bytes:
        """Return the metadata in a wheel."""
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA")))


@contextmanager
def serving(server: WheelServer) -> Iterator[WheelServer]:
    """Serve on a free port of this computer."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # noqa: N802
            self.answer(body=False)

        def do_GET(self) -> None:  # noqa: N802
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            server.asked.append((self.command, self.path, self.headers.get("Range", "")))
            content = self.find()
            if content is None:
                self.send_error(404)
                return
            start = 0
            asked = self.headers.get("Range")
            if asked and server.ranges:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if body:
                self.write(content[start:])

        def find(self) -> bytes | None:
            name = self.path.rpartition("/")[2].replace("%2B", "+")
            if self.path.startswith("/files/"):
                wheel = server.folder / name.removesuffix(".metadata")
                if not wheel.exists():
                    return None
                return server.about(wheel) if name.endswith(".metadata") else wheel.read_bytes()
            parts = self.path.strip("/").split("/")
            return server.page(parts[2]) if parts[:2] == ["whl", "cu130"] else None

        def write(self, content: bytes) -> None:
            if server.cut and "torch" in self.path and self.path.endswith(server.cut_ending):
                content, server.cut = content[: server.cut], 0
                self.close_connection = True
            self.wfile.write(content)

        def log_message(self, *_values: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_address[1]}/whl"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
