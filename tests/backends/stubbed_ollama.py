"""The stub of Ollama in front of real llama.cpp servers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from served_llama import llama
from stubs.ollama_server import Stub, ollama
from the_gguf_pair import TARGET

from backends.base import Session
from backends.ollama import Adapter
from results.records import EngineConfig, Json, Pair

PAIR = Pair("demo", "demo", None)


@contextmanager
def stubbed(folder: Path, *lengths: int, target: str = TARGET) -> Iterator[tuple[str, Stub, Path]]:
    """URL, stub, log file. lengths: draft lengths to come, plain decoding always. target: a GGUF file."""
    with ExitStack() as stack:
        # here, not when first asked for: they die with the thread that started them
        urls = {k: stack.enter_context(llama(k or None, target)).url for k in (0, *lengths)}
        log = folder / "server.log"
        url, stub = stack.enter_context(ollama(urls, log))
        yield url, stub, log


@contextmanager
def opened(url: str, **options: Json) -> Iterator[Session]:
    with Adapter().open(PAIR, EngineConfig(threads=1, methods=("mtp",), options={"url": url, **options})) as session:
        yield session
