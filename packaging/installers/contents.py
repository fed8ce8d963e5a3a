"""What goes into the frozen application and what stays out."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

QT_MODULES = ("QtCore", "QtDBus", "QtGui", "QtSvg", "QtWidgets")
"""Modules of Qt for Python that the application imports, or that its plugins need."""

METADATA = (
    "coordlabel",
    "torch",
    "numpy",
    "opencv-contrib-python-headless",
    "pillow",
    "scikit-image",
    "safetensors",
    "typer",
    "rich",
    "PySide6-Essentials",
    "qtawesome",
    "pyqtgraph",
    "appdirs",
)
"""Distributions whose version the application looks up (`coordlabel doctor`, diagnostics)."""

_RUNTIME_ON = frozenset({("linux", "x86_64")})
"""Systems and processors on which OpenVINO is bundled: those where it was measured in an installer."""


def has_openvino(system: str = sys.platform, machine: str | None = None) -> bool:
    """Return whether OpenVINO runs the models of this system's installers; elsewhere it is PyTorch."""
    return (system, machine or platform.machine()) in _RUNTIME_ON


OPENVINO_IMPORTS = ("openvino", "openvino.frontend.pytorch.ts_decoder")
"""What `coordgan_core.runtimes` imports when a model is first run."""

HIDDEN_IMPORTS = (
    "coordgan_core.engine.__main__",
    "multiprocessing.resource_tracker",
    "multiprocessing.shared_memory",
)
"""Modules that nothing imports by a statement; commands and the lazy parts are collected as packages."""

PACKAGES = ("app", "coordgan_core", "resources")

UNUSED_SCIENCE = (
    *(
        f"scipy.{name}"
        for name in ("datasets", "differentiate", "fft", "fftpack", "integrate", "interpolate", "misc", "odr")
    ),
    *("scipy.optimize", "scipy.signal", "scipy.stats"),
    *(f"skimage.{name}" for name in ("draw", "feature", "filters", "future", "graph", "io", "measure")),
    *(f"skimage.{name}" for name in ("metrics", "morphology", "registration", "restoration", "transform")),
)
"""Parts of these two that nothing of what the application calls there needs; a test runs it without them."""

EXCLUDED_MODULES = (
    *UNUSED_SCIENCE,
    # test suites, and what only tests need
    *(f"{name}.tests" for name in ("numpy", "skimage", "networkx", "pyqtgraph")),
    *("scipy.conftest", "numpy.conftest", "numpy.f2py.tests", "sympy.testing.tests", "test", "tests"),
    *("pytest", "_pytest", "hypothesis", "pluggy", "iniconfig", "xdist", "execnet"),
    # developers' tools
    *("mypy", "mypyc", "ruff", "grimp", "importlinter", "pip", "wheel", "build", "PyInstaller"),
    *("setuptools", "pkg_resources", "_distutils_hack", "py_spy", "py"),
    *("readline", "curses", "_curses", "rlcompleter"),  # for shells; the first is under the GPL
    *(
        "mpl_toolkits",
        "tkinter",
        "_tkinter",
        "turtle",
        "idlelib",
        "lib2to3",
        "ensurepip",
        "IPython",
        "jupyter",
    ),
    # what libraries use if it happens to be there
    *("matplotlib", "pandas", "lpips", "torchvision", "yaml", "tqdm", "psutil", "optree"),
    *(
        "onnx",
        "onnx_ir",
        "onnxscript",
        "onnxruntime",
        "ml_dtypes",
        "flatbuffers",
        "google.protobuf",
    ),
    # OpenVINO: converters of files, and what they report to their makers
    *("openvino.tools", "openvino.torch", "openvino_telemetry"),
    *(f"openvino.frontend.{name}" for name in ("jax", "onnx", "paddle", "tensorflow")),
    *("requests", "urllib3", "certifi", "charset_normalizer", "pooch", "dask", "cupy", "numba"),
    # examples and the parts of libraries for other window systems, plots and shells
    *("pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.jupyter", "pyqtgraph.console", "OpenGL"),
    *("PyQt5", "PyQt6", "PySide2", "pylab"),
    *("torch.utils.tensorboard", "torch.utils.benchmark", "tensorboard", "caffe2", "functorch.dim"),
)

_DROPPED = (
    # Qt: what the application does not import, and plugins for devices without a desktop
    r"(^|/)PySide6/(?!Qt/|Qt(Core|DBus|Gui|Svg|Widgets)\b)Qt\w+\.(abi3\.so|pyd|so)$",
    r"libQt6(Qml|Quick|Designer|Help|Sql|Test|UiTools|Labs|Lottie|PrintSupport|Concurrent|VirtualKeyboard)",
    r"(^|/)Qt6(Qml|Quick|Designer|Help|Sql|Test|UiTools|Labs|Lottie|PrintSupport|Concurrent|VirtualKeyboard)",
    r"(^|/)Qt(Qml|Quick|Designer|Help|Sql|Test|UiTools|Labs|PrintSupport|VirtualKeyboard)\w*(\.framework/|$)",
    r"libQt6(WaylandCompositor|EglF[Ss]\w*|SvgWidgets|Xml|Pdf|Network)\.",
    r"(^|/)Qt6(SvgWidgets|Xml|Pdf|Network)\.dll$",
    r"/Qt/(qml|metatypes|libexec|resources|phrasebooks|typesystems)/",
    r"/translations/(?!qtbase_)[^/]+\.qm$",
    r"/plugins/(designer|egldeviceintegrations|generic|networkinformation|printsupport|qmllint|qmltooling)/",
    r"/plugins/(sqldrivers|tls|vectorimageformats|wayland-graphics-integration-server|assetimporters)/",
    r"/plugins/imageformats/\w*q(pdf|icns|tga|wbmp)\b",
    r"/plugins/platforms/\w*q(eglfs|linuxfb|minimalegl|vkkhrdisplay|vnc)\b",
    r"/plugins/platforminputcontexts/\w*qtvirtualkeyboard",
    r"/plugins/platformthemes/\w*qgtk3",  # would bring a copy of GTK; the desktop's portal serves
    r"(^|/)opengl32sw\.dll$",
    # PyTorch: headers, static libraries, tools and libraries of its own tests
    r"(^|/)torch/((include|share|test|_C_flatbuffer)/|bin/(?!torch_shm_manager))",
    r"(^|/)torch/.*\.(h|hpp|cuh|cmake|lib|pdb)$",
    r"(^|/)(lib)?(torchbind_test|jitbackend_test|backend_with_compiler|aoti_custom_ops)\.",
    r"\.a$",
    # OpenVINO: graphics cards and NPUs, readers of other files, headers
    r"(^|/)openvino/(include|cmake|tools|torch)/",
    r"(^|/)openvino/frontend/(jax|onnx|paddle|tensorflow)/",
    r"(^|/)(lib)?openvino_(intel_(gpu|npu)|auto|auto_batch|hetero)_plugin\.",
    r"(^|/)(lib)?openvino_(gguf|ir|jax|onnx|paddle|tensorflow|tensorflow_lite)_frontend\.",
    r"(^|/)(lib)?openvino_c\.|(^|/)openvino/libs/cache\.json$",
    # tests, sources and type stubs of all
    r"(^|/)(tests|testing/_internal)/",
    r"\.(pyi|pyx|pxd|c|cpp|cc|f90)$",
    r"(^|/)py\.typed$",
    r"(^|/)cv2/data/",
    r"(^|/)skimage/data/(?!__init__|_fetchers|_binary_blobs|_registry)",
    rf"(^|/)({'|'.join(name.replace('.', '/') for name in UNUSED_SCIENCE)})/",
    r"\.dist-info/(?!METADATA$)",
    r"^hypothesis-",
)
_KEPT = (
    r"^resources/",
    r"(^|/)skimage/(\w+/)?__init__\.pyi$",  # read when it runs: they say where a name is found
)
_DROP = re.compile("|".join(_DROPPED))
_KEEP = re.compile("|".join(_KEPT))

HOST_LIBRARIES = re.compile(
    r"^lib(c|m|dl|rt|pthread|GL|EGL|GLX|GLdispatch|OpenGL|drm|gbm|wayland-(client|cursor|egl|server)|X11"
    r"|X11-xcb|xcb|dbus-1|gtk-3|gdk-3|gio-2\.0|glib-2\.0|gobject-2\.0|gmodule-2\.0|gthread-2\.0|fontconfig"
    r"|freetype)"
    r"\.so(\.\d+)*$"
)
"""Libraries that must be those of the user's system: they talk to its kernel, drivers, display and fonts."""


_LINKED = re.compile(r"(.*/)?(torch/lib|openvino/libs)/")


def is_wanted(name: str) -> bool:
    """Return whether the file called ``name`` inside the bundle is needed.

    Args:
        name: Path inside the bundle; either separator.
    """
    posix = name.replace("\\", "/")
    if _KEEP.search(posix):
        return True
    return not (_DROP.search(posix) or HOST_LIBRARIES.match(posix))


Entry = tuple[str, str, str]
"""An entry of a table of the freezer: name in the bundle, source, kind."""


def wanted(table: Iterable[Entry]) -> list[Entry]:
    """Return the entries that are needed.

    Links to the libraries of PyTorch are left out: the loader would find them through its search path before
    those of a private build. Those to OpenVINO's too: it looks for its plugins where it was loaded from.
    """
    return [
        (name, source, kind)
        for name, source, kind in table
        if is_wanted(name) and not (kind == "SYMLINK" and _LINKED.match(source.replace("\\", "/")))
    ]


def without_orphans(table: Sequence[Entry], needs: Callable[[str], Iterable[str]]) -> list[Entry]:
    """Return ``table`` without libraries of the system that nothing needs any more, nor links into nowhere.

    Args:
        table: Binaries of a Linux bundle; libraries of the system lie at its top.
        needs: Returns the names of the libraries that a file is linked to.
    """
    links = {name: source for name, source, kind in table if kind == "SYMLINK"}
    system = {name: source for name, source, kind in table if kind == "BINARY" and "/" not in name}
    queue = [source for name, source, kind in table if kind != "SYMLINK" and name not in system]
    queue += [system[name] for name in system if name.startswith("libpython")]
    kept = {name for name in system if name.startswith("libpython")}
    while queue:
        for name in needs(queue.pop()):
            if name in system and name not in kept:
                kept.add(name)
                queue.append(system[name])
    files = {name for name, _, kind in table if kind != "SYMLINK" and (name not in system or name in kept)}
    return [entry for entry in table if entry[0] in files or links.get(entry[0]) in files]


def linked_libraries(path: str) -> list[str]:
    """Return the names of the libraries that an ELF file asks the loader for."""
    shown = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=False).stdout
    return [line.split()[1] for line in shown.splitlines() if line.strip().startswith("NEEDED")]


_OF_EVERY_SYSTEM = re.compile(r"^(ld-linux[\w-]*|lib(resolv|util|nsl|crypt|anl))\.so\.\d+$")


def missing_libraries(
    bundle: Path, needs: Callable[[str], Iterable[str]] = linked_libraries
) -> dict[str, list[str]]:
    """Return the libraries that files of a Linux bundle need and that neither it nor every system brings.

    The freezer only warns of them, and the window of the program would not open where they are not installed
    by chance.

    Args:
        bundle: The folder that the freezer made.
        needs: Returns the names of the libraries that a file is linked to.

    Returns:
        The files that need it, by the name of the library.
    """
    files = [path for path in bundle.rglob("*") if path.is_file()]
    there = {path.name for path in files}
    missing: dict[str, list[str]] = {}
    for path in sorted(files):
        if ".so" not in path.name or path.is_symlink():
            continue
        for name in needs(str(path)):
            if name not in there and not HOST_LIBRARIES.match(name) and not _OF_EVERY_SYSTEM.match(name):
                missing.setdefault(name, []).append(path.relative_to(bundle).as_posix())
    return missing


STRIPPED = ("libtorch_cpu.so", "libtorch_python.so", "libpython3")
"""Libraries that carry symbols for debuggers, 100 MB of them. Those that wheels' tools have patched are left
alone: stripping breaks some."""
