"""Which backends there are: the modules of this package that define `Adapter`, and what other packages offer.

A name is a file's name, or the name of an entry point in the group `mtpbench.backends`; a file of ours goes
before an entry point of the same name. Listing names imports no backend, so a broken one cannot hide the others.
"""

import difflib
import pkgutil
import re
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import backends
from backends.base import Backend
from results.errors import UsageError

GROUP = "mtpbench.backends"
_ADAPTER = re.compile(r"^class Adapter\b", re.MULTILINE)


def names() -> list[str]:
    """Every backend that can be named, in alphabetical order, installed runtime or not."""
    return sorted({*_own(), *_offered()})


def load(name: str) -> Backend:
    """The backend of that name. Raises UsageError, with the nearest names, where there is none."""
    if name in _own():
        adapter = import_module(f"{backends.__name__}.{name}").Adapter
    elif name in (offered := _offered()):
        adapter = offered[name].load()
    else:
        known = names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known
        raise UsageError(f"unknown backend {name!r}; did you mean {', '.join(near)}? See: mtpbench backends")
    backend = adapter()
    if not isinstance(backend, Backend):
        raise UsageError(f"backend {name!r} is a {type(backend).__name__}, which is no backends.base.Backend")
    return backend


def _own() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(backends.__path__) if _defines_adapter(module.name)]


def _defines_adapter(module: str) -> bool:
    spec = find_spec(f"{backends.__name__}.{module}")
    return spec is not None and spec.origin is not None and bool(_ADAPTER.search(Path(spec.origin).read_text("utf-8")))


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
