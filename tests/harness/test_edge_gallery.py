"""AI Edge Gallery's CSV as a run file: settings are matched, and what is missing or contradicts is refused."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.edge_gallery import import_csv, read
from mtpbench.cli import run
from reports.table import show
from results.errors import UsageError
from results.judge import judge
from results.runfile import RunFile
from results.verdicts import RunVerdict

HEADER = (
    "start time (ms),end time (ms),model name,accelerator,prefill tokens count,decode tokens count,runs count,"
    "app version,prefill speed (tokens/sec),decode speed (tokens/sec),time to first token (sec),first init time (ms),"
    "steady init time (ms)"
)
CPU = "1795540000000,1795540060000,Gemma-4-E2B-it,CPU,256,128,3,1.0.15,187.25,40.7,1.4,2100.0,900.5"
GPU = "1795540100000,1795540130000,Gemma-4-E2B-it,GPU,256,128,1,1.0.15,1500.5,51.5,0.2,4100.0,0.0"
FASTER_CPU, FASTER_GPU = CPU.replace("40.7", "47.5"), GPU.replace("51.5", "91.7")


def saved(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines))
    return path


def imported(folder: Path, plain: Path, mtp: Path) -> RunVerdict:
    path = import_csv(plain, mtp, folder / "phone.sqlite", draft_length=4, device="Galaxy S26 Ultra")
    with RunFile.open(path) as file:
        assert file.state == "finished"
        return judge(file)


def test_the_command_writes_a_run_file_that_show_and_report_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, mtp = saved(tmp_path, "plain.csv", HEADER, CPU), saved(tmp_path, "mtp.csv", HEADER, FASTER_CPU)
    out = tmp_path / "phone.sqlite"
    asked = ["import", str(plain), str(mtp), "-k", "4", "--device", "Galaxy S26 Ultra", "-o", str(out)]
    assert run(asked) == 0
    assert run(["show", str(out)]) == 0
    assert "IMPORTED" in capsys.readouterr().out
    assert run(["report", str(out), "-o", str(tmp_path / "report.html")]) == 0
    assert run(asked) == 2
    assert "exists" in capsys.readouterr().err
    assert run([*asked[:-1], str(tmp_path / "other.sqlite"), "--device", "x", "-k", "0"]) == 2


def test_two_accelerators_become_two_imported_cells(tmp_path: Path) -> None:
    plain = saved(tmp_path, "plain.csv", HEADER, CPU, HEADER, GPU)
    mtp = saved(tmp_path, "mtp.csv", HEADER, FASTER_GPU, "", FASTER_CPU)
    found = imported(tmp_path, plain, mtp)
    assert [(c.status, c.device, c.draft_length, c.synthetic) for c in found.cells] == [
        ("imported", "Galaxy S26 Ultra GPU", 4, True),
        ("imported", "Galaxy S26 Ultra CPU", 4, True),
    ]
    assert [round(c.speedup.point, 3) for c in found.cells if c.speedup] == [
        round(91.7 / 51.5, 3),
        round(47.5 / 40.7, 3),
    ]
    assert {(c.backend, c.pair, c.prompt_tokens, c.output_tokens) for c in found.cells} == {
        ("edge-gallery", "Gemma-4-E2B-it", 256, 128)
    }
    assert found.best == []


def test_it_is_printed_as_imported_and_nothing_is_recommended(tmp_path: Path) -> None:
    found = imported(tmp_path, saved(tmp_path, "p.csv", HEADER, GPU), saved(tmp_path, "m.csv", HEADER, FASTER_GPU))
    console = Console(file=io.StringIO(), width=160)
    show(found, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "IMPORTED SYNTHETIC" in printed
    assert "1.78×" in printed
    assert "No setting can be ranked" in printed


def test_one_run_has_no_steady_start(tmp_path: Path) -> None:
    (stated,), (single,) = read(saved(tmp_path, "p.csv", HEADER, CPU, GPU), drafts=False).values()
    assert (stated.runs, stated.steady_init_ms) == (3, 900.5)
    assert (single.runs, single.steady_init_ms) == (1, None)


def test_a_column_on_speculation_must_agree_with_the_user(tmp_path: Path) -> None:
    header = HEADER.replace("accelerator", "accelerator,speculative decoding")
    line = GPU.replace("GPU", "GPU,true")
    assert read(saved(tmp_path, "m.csv", header, line), drafts=True)
    with pytest.raises(
        UsageError, match="speculative decoding is 'true', and this file was given as the one with MTP o"
    ):
        read(saved(tmp_path, "p.csv", header, line), drafts=False)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "holds no benchmark"),
        ((HEADER,), "holds no benchmark"),
        ((CPU,), "line 1: expected the header"),
        ((HEADER.replace(",accelerator", ""), CPU), "there is no column 'accelerator'"),
        ((HEADER, CPU.replace("Gemma-4-E2B-it", "Gemma 4, E2B")), "line 2: 14 fields under 13 columns"),
        ((HEADER, CPU.replace("40.7", "fast")), "line 2: could not convert string to float: 'fast'"),
        ((HEADER, CPU.replace("40.7", "0.0")), "states what no benchmark gives"),
        ((HEADER, CPU.replace("40.7", "NaN")), "states what no benchmark gives"),
        ((HEADER, CPU.replace(",3,1.0", ",0,1.0")), "states what no benchmark gives"),
        ((HEADER, CPU.replace(",256,", ",0,")), "at least one token each way"),
    ],
)
def test_a_file_that_is_none_of_the_app_s_is_refused_in_one_line(
    tmp_path: Path, lines: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(saved(tmp_path, "x.csv", *lines), drafts=False)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read(tmp_path / "x.csv", drafts=False)
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "none.csv", drafts=False)


def test_every_setting_needs_both_arms(tmp_path: Path) -> None:
    one, both = saved(tmp_path, "p.csv", HEADER, CPU), saved(tmp_path, "m.csv", HEADER, FASTER_CPU, FASTER_GPU)
    with pytest.raises(UsageError, match=r"p\.csv has no benchmark of Gemma-4-E2B-it on GPU with 256 \+ 128 tokens"):
        imported(tmp_path, one, both)
    with pytest.raises(UsageError, match=r"p\.csv has no benchmark"):
        imported(tmp_path, both, one)
    assert not (tmp_path / "phone.sqlite").exists()


def test_a_draft_length_is_needed(tmp_path: Path) -> None:
    plain = saved(tmp_path, "p.csv", HEADER, CPU)
    with pytest.raises(UsageError, match="at least 1"):
        import_csv(plain, plain, tmp_path / "phone.sqlite", draft_length=0, device="phone")
