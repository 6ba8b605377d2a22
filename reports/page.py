"""What every HTML page of ours is made with: templates that escape, our own style inside, and a policy that lets
nothing else in."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import text


def environment() -> Environment:
    """Templates of this package; texts are escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clean": text.clean, "svg": Markup}  # pictures are made by reports.plots from escaped text
    return made


def asset(name: str) -> Markup:
    """One of our own files, no one's input."""
    return Markup((resources.files("reports") / "templates" / name).read_text("utf-8"))


def policy(style: str, script: str | None = None) -> str:
    """A content security policy: this style, this script or none, pictures in the page, and no network."""
    scripts = "" if script is None else f"script-src {_digest(script)}; "
    return (
        f"default-src 'none'; style-src {_digest(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
