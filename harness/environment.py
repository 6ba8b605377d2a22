"""What a worker may see of the environment: an allow-list, so that two shells give the same measurement.

Everything else stays outside, secrets of other tools included. Values are handed on, never stored: what a run
file keeps of the environment is chosen in `harness.provenance`.
"""

from collections.abc import Mapping, Sequence

NAMES = frozenset(
    {
        # finding programs, libraries and packages
        *("PATH", "HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"),
        # text, time, temporary and cache folders
        *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "PYTHONHASHSEED"),
        # reaching the hub
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        # threads of NumPy, of macOS' BLAS and of the tokenizers
        *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "TOKENIZERS_PARALLELISM", "RAYON_NUM_THREADS"),
    }
)

PREFIXES = (
    *("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "SAFETENSORS_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "CUBLAS_", "CUDNN_", "HIP_", "HSA_", "ROCM_", "ROCR_", "ONEAPI_", "ZE_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "MALLOC_", "JEMALLOC_", "DNNL_", "ONEDNN_"),
    *("TORCH", "PYTORCH_", "TRITON_", "XLA_", "MLX_", "VLLM_", "SGLANG_", "SGL_", "GGML_", "LLAMA_", "OLLAMA_"),
)
"""Families of settings by which runtimes are configured."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def worker_environment(outer: Mapping[str, str], threads: int | None, secrets: Sequence[str] = ()) -> dict[str, str]:
    """The environment of a worker.

    outer: the harness' own. threads: CPU threads of the runtime; None leaves the runtime's own choice.
    secrets: names of further variables that this one worker needs, such as an API key's.
    Waiting threads sleep rather than spin (unless `outer` says otherwise): on small models two contended
    spinning threads cost 10-20 times the CPU time and slow the call they wait for.
    """
    inner = {name: value for name, value in outer.items() if name in {*NAMES, *secrets} or name.startswith(PREFIXES)}
    inner.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    inner.setdefault("TOKENIZERS_PARALLELISM", "false")
    if threads is not None:
        inner.update(dict.fromkeys(_THREADS, str(threads)))
    return inner
