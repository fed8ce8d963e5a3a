"""The one table of colours: every colour of the interface is named here, for light and dark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """Colours of one appearance, as `#rrggbb`.

    The surfaces go from the back to the front: `canvas` (behind an image), `window`, `surface` (panels),
    `raised` (buttons, fields, cards). `text` and `muted` reach a contrast of 4.5 : 1 on the last three.
    """

    name: str
    canvas: str
    window: str
    surface: str
    raised: str
    hover: str
    pressed: str
    border: str
    strong_border: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    on_accent: str
    accent_soft: str
    good: str
    warn: str
    bad: str
    good_soft: str
    warn_soft: str
    bad_soft: str
    reference: str
    edited: str


LIGHT = Tokens(
    name="light",
    canvas="#dfe2e8",
    window="#f0f2f5",
    surface="#fafbfc",
    raised="#ffffff",
    hover="#eaedf2",
    pressed="#dde2ea",
    border="#dde1e8",
    strong_border="#c3c9d4",
    text="#1b2130",
    muted="#5a6375",
    faint="#8b94a5",
    accent="#3d5bd9",
    accent_hover="#324dc0",
    on_accent="#ffffff",
    accent_soft="#e3e9ff",
    good="#177a49",
    warn="#93600a",
    bad="#bf3040",
    good_soft="#dcf3e6",
    warn_soft="#fbeccd",
    bad_soft="#fbe1e4",
    reference="#6d3fc4",
    edited="#0d7291",
)

DARK = Tokens(
    name="dark",
    canvas="#0e1015",
    window="#14171d",
    surface="#1a1e26",
    raised="#232833",
    hover="#2a303d",
    pressed="#333a49",
    border="#2b313d",
    strong_border="#414a5b",
    text="#e7eaf1",
    muted="#a1aabb",
    faint="#6f7889",
    accent="#7890ff",
    accent_hover="#8fa3ff",
    on_accent="#0d1330",
    accent_soft="#2a3361",
    good="#4fca8a",
    warn="#e9b44e",
    bad="#f27580",
    good_soft="#173829",
    warn_soft="#3d3118",
    bad_soft="#45222a",
    reference="#b795ff",
    edited="#57c2e4",
)

STATUS_COLOURS: dict[str, str] = {
    "unlabelled": "faint",
    "propagated": "accent",
    "edited": "edited",
    "accepted": "good",
    "rejected": "bad",
    "reference": "reference",
    "failed": "warn",
}
"""Status of an image -> name of its token."""

STATUS_ICONS: dict[str, str] = {
    "unlabelled": "mdi6.circle-outline",
    "propagated": "mdi6.auto-fix",
    "edited": "mdi6.pencil",
    "accepted": "mdi6.check-bold",
    "rejected": "mdi6.close-thick",
    "reference": "mdi6.star",
    "failed": "mdi6.alert",
}


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (Web Content Accessibility Guidelines 2, 1.4.3)."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
