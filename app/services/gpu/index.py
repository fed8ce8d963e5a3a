"""The index of wheels: reads its pages and finds the wheels of a build. Nothing is asked but the index."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

from packaging.requirements import Requirement
from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from app.services.gpu.errors import GpuError

INDEX = "https://download.pytorch.org/whl"
"""Where PyTorch publishes its builds; the setting `engine.gpu_index` may name a mirror or a folder."""

_NEEDED = re.compile(r"^(nvidia|cuda)-")
"""What a CUDA build needs beyond what the program brings: NVIDIA's libraries. Triton only compiles models."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that an index offers.

    Args:
        name: Canonical name of its distribution.
        version: Its version.
        filename: Name of the file.
        url: Where it is.
        sha256: Its checksum; the page has to name it.
        metadata_sha256: That of its metadata file at ``url + ".metadata"``; empty if it offers none.
    """

    name: str
    version: Version
    filename: str
    url: str
    sha256: str
    metadata_sha256: str = ""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember links."""
        if tag == "a":
            self.links.append({name: value or "" for name, value in attrs})


def read_page(html: str, url: str) -> list[Wheel]:
    """Return the wheels on a page of an index that name a checksum.

    Args:
        html: The page.
        url: Its address, to which its links are relative.
    """
    page = _Page()
    page.feed(html)
    return [wheel for link in page.links if (wheel := _wheel(link, url)) is not None]


def _wheel(link: dict[str, str], url: str) -> Wheel | None:
    address, _, fragment = urllib.parse.urljoin(url, link.get("href", "")).partition("#")
    filename = urllib.parse.unquote(address.rpartition("/")[2])
    checksum = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, ValueError):
        return None
    if checksum is None:
        return None
    offered = link.get("data-core-metadata", link.get("data-dist-info-metadata", ""))
    metadata = re.fullmatch(r"sha256=([0-9a-f]{64})", offered)
    return Wheel(name, version, filename, address, checksum[1], metadata[1] if metadata else "")


def best(
    wheels: Iterable[Wheel], requirement: Requirement, tags: Iterable[Tag] | None = None
) -> Wheel | None:
    """Return the wheel that fits a requirement and this Python best: newest, then most specific."""
    order = {tag: place for place, tag in enumerate(tags if tags is not None else sys_tags())}
    rated = [
        (wheel.version, -min(order[tag] for tag in fits), wheel)
        for wheel in wheels
        if wheel.name == canonicalize_name(requirement.name)
        and requirement.specifier.contains(wheel.version, prereleases=True)
        and (fits := parse_wheel_filename(wheel.filename)[3] & order.keys())
    ]
    return max(rated, key=lambda each: each[:2])[2] if rated else None


def needed(metadata: str, extras: Iterable[str]) -> list[Requirement]:
    """Return what a distribution needs, on this computer, that the program does not bring itself."""
    found = []
    for text in re.findall(r"^Requires-Dist:\s*(.+)$", metadata.partition("\n\n")[0], re.MULTILINE):
        requirement = Requirement(text.strip())
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in [*extras, ""]
        )
        if wanted and _NEEDED.match(canonicalize_name(requirement.name)):
            found.append(requirement)
    return found


Read = Callable[[str], bytes]


class Index:
    """One line of builds in an index.

    Args:
        base: Address of the index.
        tag: The line, such as ``cu130``.
        read: Returns what is at an address.
        metadata_of: Returns the metadata of a wheel whose page offers none.
    """

    def __init__(self, base: str, tag: str, read: Read, metadata_of: Callable[[Wheel], str]) -> None:
        self._base = f"{base.rstrip('/')}/{tag}"
        self._read = read
        self._metadata_of = metadata_of

    def torch(self, version: str) -> Wheel | None:
        """Return the build of a version of PyTorch for this Python, None if the line has none."""
        return self._find(Requirement(f"torch=={version}"))

    def with_needs(self, wheel: Wheel) -> list[Wheel]:
        """Return a wheel and all that it needs.

        Raises:
            GpuError: Something that is needed is not in the index.
        """
        chosen = {wheel.name: wheel}
        queue: list[tuple[Wheel, frozenset[str]]] = [(wheel, frozenset())]
        seen: set[tuple[str, frozenset[str]]] = set()
        while queue:
            each, extras = queue.pop(0)
            if (each.name, extras) in seen:
                continue
            seen.add((each.name, extras))
            for requirement in needed(self._metadata(each), extras):
                name = canonicalize_name(requirement.name)
                found = chosen.get(name) or self._find(requirement)
                if found is None:
                    raise GpuError(
                        f"{requirement} is not in {self._base}",
                        expected=f"a wheel of it, which {each.filename} needs",
                        remedy="try again later, or install from files",
                    )
                chosen[name] = found
                queue.append((found, frozenset(requirement.extras)))
        return list(chosen.values())

    def _find(self, requirement: Requirement) -> Wheel | None:
        url = f"{self._base}/{canonicalize_name(requirement.name)}/"
        try:
            page = self._read(url).decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        return best(read_page(page, url), requirement)

    def _metadata(self, wheel: Wheel) -> str:
        if not wheel.metadata_sha256:
            return self._metadata_of(wheel)
        content = self._read(f"{wheel.url}.metadata")
        if hashlib.sha256(content).hexdigest() != wheel.metadata_sha256:
            raise GpuError(
                f"the metadata of {wheel.filename} has another checksum than the index says",
                expected=wheel.metadata_sha256,
                remedy="try again; if it stays so, do not use this index",
            )
        return content.decode("utf-8", "replace")
