"""No code out of data: what could run it does not occur in the program. Read from its syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "coordgan_core", "packaging", "resources", "benchmarks")
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "jsonpickle"}
CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "compile": "turns text into code",
    "__import__": "imports what a text names",
    "yaml.load": "makes any object: yaml.safe_load",
    "yaml.unsafe_load": "makes any object: yaml.safe_load",
    "yaml.full_load": "makes many objects: yaml.safe_load",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "subprocess.getoutput": "goes through a shell",
    "subprocess.getstatusoutput": "goes through a shell",
    "torch.hub.load": "downloads and runs code",
    "torch.jit.load": "runs code of a file",
    "torch.package.PackageImporter": "runs code of a file",
    "tempfile.mktemp": "names a file that another can make first",
    "tarfile.TarFile.extractall": "writes wherever the archive says",
}
METHODS = {"extractall": "writes wherever the archive says", "read_pickle": "runs code of a file"}
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib"}
MAY_USE_THE_NETWORK = {"app/services/gpu/fetch.py"}
"""Files that may reach for the network, each only because the user asked: a build of PyTorch for a GPU."""


def sources() -> list[Path]:
    found = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 100
    return found


def name_of(node: ast.expr) -> str:
    """Return ``a.b.c`` of an expression; what is no name becomes a question mark."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def real_names(tree: ast.AST) -> dict[str, str]:
    """Return local name -> what it was imported as."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def problems(source: str) -> Iterator[str]:
    """Yield what in a source could run code out of data."""
    tree = ast.parse(source)
    names = real_names(tree)
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for module in modules:
            if module.partition(".")[0] in MODULES:
                yield f"line {node.lineno}: imports {module}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            yield from _problems_of_call(node, names)


def _problems_of_call(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    called = name_of(node.func)
    first, dot, rest = called.partition(".")
    called = names.get(first, first) + dot + rest
    given = {k.arg: k.value for k in node.keywords}
    where = f"line {node.lineno}: {called}"
    if called in CALLS:
        yield f"{where} {CALLS[called]}"
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f"{where} {METHODS[node.func.attr]}"
    if called in ("torch.load", "torch.serialization.load") and not _is(given.get("weights_only"), True):
        yield f"{where} without weights_only=True runs code of a file"
    if called in ("numpy.load", "np.load") and not _is(given.get("allow_pickle"), False):
        yield f"{where} without allow_pickle=False"
    if "shell" in given and not _is(given["shell"], False):
        yield f"{where} goes through a shell"
    if "trust_remote_code" in given:
        yield f"{where} downloads and runs code"


def _is(node: ast.expr | None, value: bool) -> bool:  # noqa: FBT001
    return isinstance(node, ast.Constant) and node.value is value


def test_nothing_in_the_program_runs_code_out_of_data() -> None:
    found = [
        f"{path.relative_to(ROOT)} {text}" for path in sources() for text in problems(path.read_text("utf-8"))
    ]
    assert found == []


def test_nothing_in_the_program_reaches_for_the_network() -> None:
    found = []
    for path in sources():
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            found += [f"{path.relative_to(ROOT).as_posix()}: {m}" for m in modules if m in NETWORK]
            found += [
                f"{path.relative_to(ROOT).as_posix()}: {m}"
                for m in modules
                if m.startswith("PySide6.QtNetwork")
            ]
    assert {text.partition(":")[0] for text in found} <= MAY_USE_THE_NETWORK, found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(x)",
        "from torch import load\nload(x, weights_only=False)",
        "import torch as t\nt.load(x, map_location='cpu')",
        "import numpy as np\nnp.load(x)",
        "eval(x)",
        "exec(x)",
        "import yaml\nyaml.load(x)",
        "from yaml import load as l\nl(x)",
        "import subprocess\nsubprocess.run(x, shell=True)",
        "import os\nos.system(x)",
        "archive.extractall(x)",
    ],
)
def test_the_check_sees_what_it_is_there_for(source: str) -> None:
    assert list(problems(source))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "Model(config).eval()",
        "dialog.exec()",
        "import torch\ntorch.load(x, weights_only=True)",
        "import numpy as np\nnp.load(x, allow_pickle=False)",
        "import re\nre.compile(x)",
        "import subprocess\nsubprocess.run([x])",
    ],
)
def test_the_check_lets_pass_what_does_no_harm(source: str) -> None:
    assert list(problems(source)) == []
