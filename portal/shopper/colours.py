"""A merchant's colour, where people can read what is written in it."""

import re

# Ours, of the stylesheet: the paper and the ink of light and dark pages.
LIGHT_PAPER, DARK_PAPER = "#f7f5f1", "#16181b"
READABLE = 4.5  # WCAG 2.2, 1.4.3


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (#rrggbb), by WCAG."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def is_readable(colour: str) -> bool:
    """Whether text in this colour is readable on light paper, and light text on it."""
    return contrast(colour, LIGHT_PAPER) >= READABLE and contrast(colour, "#ffffff") >= READABLE


def stylesheet(colour: str) -> str:
    """The tokens that change with the merchant's colour; in the dark it is lightened until it can be read."""
    if not re.fullmatch("#[0-9a-f]{6}", colour) or not is_readable(colour):
        return "/* the colours of the page */\n"
    dark = _lightened(colour)
    return (
        f":root {{\n  --accent: light-dark({colour}, {dark});\n"
        f"  --accent-strong: light-dark({_mixed(colour, '#000000', 0.25)}, {_mixed(dark, '#ffffff', 0.25)});\n"
        "  --on-accent: light-dark(#ffffff, #10201f);\n}\n"
    )


def _lightened(colour: str) -> str:
    for step in range(21):
        lighter = _mixed(colour, "#ffffff", step / 20)
        if contrast(lighter, DARK_PAPER) >= READABLE and contrast(lighter, "#10201f") >= READABLE:
            return lighter
    return "#ffffff"


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    parts = [channel / 255 for channel in _channels(colour)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
