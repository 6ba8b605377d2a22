"""What native code prints is seen, and still reaches the log."""

import os

import pytest

from backends.litertlm.descriptor import printed


def test_what_is_printed_is_seen_and_follows_to_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with printed() as seen:
        os.write(2, b"inside\n")
        assert seen.text == b""
    os.write(2, b"after\n")
    assert seen.text == b"inside\n"
    assert capfd.readouterr().err == "before\ninside\nafter\n"


def test_an_error_inside_loses_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def dying() -> None:
        with printed():
            os.write(2, b"last words\n")
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        dying()
    assert capfd.readouterr().err == "last words\n"


def test_no_descriptor_is_left_open() -> None:
    with printed():
        pass
    before = set(os.listdir("/dev/fd"))
    for _ in range(5):
        with printed():
            os.write(2, b"")
    assert set(os.listdir("/dev/fd")) == before
