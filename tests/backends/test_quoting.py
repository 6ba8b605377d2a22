"""Names that may be a stranger's, inside a command or a program."""

import ast
import subprocess
from pathlib import Path

import pytest

from backends.quoting import Name, call, literal, program, remark, shell

HOSTILE = [
    "a b",
    "$(touch x)",
    "`touch x`",
    "it's",
    'say "no"',
    "two\nlines",
    "\x1b[31mred",
    "back\\slash\n'",
    "\u202egnp.exe",
    "; rm -rf *",
    "",
    "*",
    "~/here",
    "é\t",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_gives_every_word_back_and_runs_nothing(text: str) -> None:
    asked = shell(["printf", "%s\\0", text, f"--flag={text}"], {"SETTING": text})
    said = subprocess.run(["bash", "-c", asked], capture_output=True, check=True, text=True, errors="surrogateescape")
    assert said.stdout == f"{text}\0--flag={text}\0"
    assert all(line.isprintable() for line in asked.split("\n"))


def test_the_home_folder_is_left_to_the_shell_and_to_python() -> None:
    model = str(Path.home() / "my models" / "x")
    asked = shell(["printf", "%s", model])
    assert str(Path.home()) + "/" not in asked
    assert subprocess.run(["bash", "-c", asked], capture_output=True, check=True, text=True).stdout == model
    text = program([f"found = {literal(model)}"])
    assert str(Path.home()) + "/" not in text
    names: dict[str, object] = {}
    exec(text, names)
    assert names["found"] == model


@pytest.mark.parametrize("text", HOSTILE)
def test_a_program_holds_the_text_and_nothing_more(text: str) -> None:
    written = call("load", text, Name("here"), option={text: [text, 1, None, True]})
    (statement,) = ast.parse(written).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    assert ast.literal_eval(statement.value.args[0]) == text
    assert ast.literal_eval(statement.value.keywords[0].value) == {text: [text, 1, None, True]}
    assert all(line.isprintable() for line in written.split("\n"))


def test_an_argument_s_name_cannot_be_code() -> None:
    with pytest.raises(ValueError, match="no argument's name"):
        call("load", **{"x=print()#": 1})


def test_a_remark_stays_in_its_line() -> None:
    assert remark("all\nis \x1b[1mwell") == "# all is  [1mwell"
