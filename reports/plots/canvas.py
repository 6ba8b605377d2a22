"""From a matplotlib figure to a small inline SVG: no pyplot state, deterministic, coloured by the page's style sheet.

Figures are drawn in key colours, one per role. The SVG then gets classes (`f-accent`, `s-grid`) in their place, so
that light, dark and print come from CSS, and carries no style attribute, so that a strict content policy holds.
Text stays text, in the page's own font.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

ROLES = ("ink", "muted", "grid", "band", "paper", "accent", "second", "third", "fourth", "loss",
         "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8")  # fmt: skip
"""What a colour is for; `r1`… is a ramp for ordered series. The style sheet gives each its light and dark value."""
COLOUR = {role: f"#0000{index:02x}" for index, role in enumerate(ROLES, start=1)}
_ROLE = {colour: role for role, colour in COLOUR.items()}

WIDTH = 380
"""Units of a picture's width: CSS pixels at natural size, so that 11-unit text is legible on a phone."""
FONT = 11

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mtpbench",
    "font.family": "DejaVu Sans",  # ships with matplotlib, so layouts are the same everywhere
    "font.size": FONT,
    "text.parse_math": False,  # labels come from run files: a dollar sign is a dollar sign
    "text.color": COLOUR["ink"],
    "axes.labelcolor": COLOUR["muted"],
    "axes.labelsize": FONT,
    "axes.edgecolor": COLOUR["grid"],
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOUR["grid"],
    "ytick.color": COLOUR["grid"],
    "xtick.labelcolor": COLOUR["muted"],
    "ytick.labelcolor": COLOUR["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": FONT,
    "legend.labelcolor": COLOUR["muted"],
    "figure.constrained_layout.use": True,
}

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
ElementTree.register_namespace("", _SVG)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its words; the alternative is made of the same figures that are drawn."""

    key: str
    """Unique within a report: the prefix of the SVG's ids."""
    title: str
    about: str
    """What is drawn and how many, e.g. `24 prompts, 95 % intervals`."""
    alternative: str
    """A sentence with the figures."""
    svg: str


class Canvas:
    """A figure being drawn, and its SVG once it is done."""

    def __init__(self, width: int, height: int, panels: int) -> None:
        columns = min(panels, 2)
        rows = -(-panels // columns)
        self.figure = Figure(figsize=(width / 72, height / 72))
        grid = self.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        every: list[Axes] = [*grid.flat]
        self.panels = every[:panels]
        self.axes = self.panels[0]
        for axes in every[1:]:
            axes.patch.set_visible(False)  # the first one's is taken out of the document
        for axes in every[panels:]:
            axes.set_visible(False)
            every[panels - 2].tick_params(labelbottom=True)  # nothing stands below it
        self.svg = ""


@contextmanager
def canvas(key: str, height: int, width: int = WIDTH, panels: int = 1) -> Iterator[Canvas]:
    """One picture of `width` by `height` units; `svg` is there after the block.

    panels: axes of one scale, in two columns; `axes` is the first one.
    """
    with mpl.rc_context(_STYLE):
        drawn = Canvas(width, height, panels)
        yield drawn
        out = io.StringIO()
        with warnings.catch_warnings():
            # Glyphs that DejaVu lacks are only measured here; the reader's own fonts draw them.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            # Straight to the backend: savefig would lay out and draw everything twice.
            FigureCanvasSVG(drawn.figure).print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]
        drawn.svg = _inline(out.getvalue(), key, "plot" if width == WIDTH else "plot narrow")


def _inline(text: str, key: str, css: str) -> str:
    """matplotlib's document as an element for a page: classes for colours, own ids, two decimals."""
    root = ElementTree.fromstring(text)
    used = set(re.findall(r"#(\w+)(?=[\")])", text))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style") or _is_blank(child):
                parent.remove(child)
    for element in root.iter():
        element.text, element.tail = (element.text or "").strip() or None, None
        _restyle(element)
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{key}-{own}")
        for name in ("clip-path", _HREF):
            if name in element.attrib:
                element.set(name, element.attrib[name].replace("#", f"#{key}-"))
        if _HREF in element.attrib:
            element.set("href", element.attrib.pop(_HREF))
        for name in ("d", "x", "y", "transform"):
            if name in element.attrib:
                element.set(name, _short(element.attrib[name]))
        if element.get("transform", "").startswith("rotate(0 "):
            del element.attrib["transform"]
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("class", css)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title")
    root.set("aria-describedby", f"{key}-text")
    return ElementTree.tostring(root, encoding="unicode")


def _is_blank(element: ElementTree.Element) -> bool:
    """The invisible background of figure and axes."""
    return element.tag == f"{{{_SVG}}}g" and element.get("id") in ("patch_1", "patch_2") and len(element) == 1


def _restyle(element: ElementTree.Element) -> None:
    """The style attribute as presentation attributes, with classes where a key colour stood."""
    classes: list[str] = []
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in ("fill", "stroke") and value in _ROLE:
            classes.append(f"{name[0]}-{_ROLE[value]}")
        elif name and name not in ("font-family", "stroke-linejoin", "stroke-linecap"):
            element.set(name, value.removesuffix("px") if name == "font-size" else value)
    if classes:
        element.set("class", " ".join(classes))


def _short(numbers: str) -> str:
    rounded = re.sub(r"-?\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), numbers)
    return " ".join(rounded.replace("rotate(-0 ", "rotate(0 ").split())
