"""llama-server inside Python: `python -P -m backends.llama.serve FLAG…`, with llama-server's own flags.

xllamacpp carries llama.cpp's server but no command line. The flags are therefore parsed by llama.cpp's own
`common_params_parse`, which the same library exports, straight into the struct that xllamacpp's `CommonParams` holds
behind its object header. That depends on the version's layout, so what was parsed is read back before it is used.
A process of its own, because llama.cpp aborts the whole process over a drafter of the wrong shape.
"""

import ctypes
import signal
import sys
from importlib.metadata import version
from itertools import pairwise

PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
"""bool common_params_parse(int, char **, common_params &, llama_example, void (*)(int, char **))"""
LLAMA_EXAMPLE_SERVER = 12
"""llama.cpp common/common.h, as of xllamacpp 2026.10.11549."""
OBJECT_HEADER = object.__basicsize__
"""CommonParams(PyObject) begins with its struct: `cdef common_params p`."""


def main(flags: list[str]) -> None:
    import xllamacpp
    from xllamacpp import xllamacpp as extension

    library = ctypes.CDLL(extension.__file__)
    found = version("xllamacpp")
    try:
        parse = getattr(library, PARSE)
    except AttributeError:
        sys.exit(f"error: xllamacpp {found} does not export llama.cpp's parser of flags")
    parse.restype = ctypes.c_bool
    params = xllamacpp.CommonParams()
    words = [b"llama-server", *(flag.encode() for flag in flags)]
    given = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    struct = ctypes.c_void_p(id(params) + OBJECT_HEADER)
    if not parse(len(words), given, struct, LLAMA_EXAMPLE_SERVER, None):
        sys.exit(1)  # the parser has said why
    asked = dict(pairwise(flags))
    if [params.model.path, str(params.port)] != [asked.get("--model"), asked.get("--port")]:
        sys.exit(f"error: the parameters of xllamacpp {found} are laid out otherwise than expected")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = xllamacpp.Server(params)
    print(f"xllamacpp {found}: listening on {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
