"""Where MLX computes. Imports MLX and nothing of mlx-vlm, so that `probe` takes a moment only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import mlx.core as mx

from results.errors import UsageError


def of(text: str) -> mx.Device:
    """`auto`, `cpu`, `mps` (Metal) or `cuda` as MLX's device. Raises UsageError where it is not here."""
    gpu = {"mps": mx.metal.is_available(), "cuda": mx.cuda.is_available()}
    if text == "auto":
        return mx.default_device()
    if text == "cpu":
        return mx.Device(mx.cpu)
    if text not in gpu:
        raise UsageError(f"device {text!r} is none that MLX takes; choose auto, cpu, mps or cuda")
    if not gpu[text]:
        here = ", ".join(["cpu", *(name for name, there in gpu.items() if there)])
        raise UsageError(f"device {text!r} is not here; here are: {here}")
    return mx.Device(mx.gpu)


@contextmanager
def chosen(text: str) -> Iterator[None]:
    """Makes it the default device. mlx-vlm takes the default for its stream at its import, so this goes before that.

    Raises UsageError where it is not here, or where another session of this process has taken another one.
    """
    device, before = of(text), mx.default_device()
    if device != before and "mlx_vlm" in sys.modules:
        raise UsageError(f"this process already computes on {name()}; open device {text!r} in another")
    mx.set_default_device(device)
    try:
        yield
    finally:
        mx.set_default_device(before)


def name() -> str:
    """Of the default device: `cpu`, or the accelerator with its own name."""
    if mx.default_device().type == mx.cpu:
        return "cpu"
    return f"{'mps' if mx.metal.is_available() else 'cuda'} {mx.device_info()['device_name']}"
