"""Writes the generated pages of docs/ (`make docs`) and checks that they are current (`make lint`).

cli.md comes from the Typer app and the fields of `Sweep`, schema.md from the tables of the run file and from the
field docstrings of the records and verdicts, so that neither can drift from the code.
"""

import ast
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType

import typer
from typer.cli import get_docs_for_click

from harness.sweep import Sweep
from mtpbench.cli import app
from results import certificate, expected, schema, verdicts
from results.gating import limits, settling
from results.records import asked, layout, seen

HERE = Path(__file__).parent


def cli_page() -> str:
    """Every command with its help text and options."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="mtpbench"), name="mtpbench")
    codes = """# Exit codes

Strongest first where several apply: 2 usage error · 1 a check failed · 4 finished, but some cells failed or are
invalid · 3 inconclusive or untested where a verdict was asked for · 0 ok · 130 interrupted (what was measured is
kept, and how to resume is printed) · 141 the reader of a pipe (`| head`) closed it before the end · 70 a bug of ours.
"""
    return text.rstrip() + "\n\n" + sweep_section() + "\n" + codes


def sweep_section() -> str:
    """The keys of a sweep file, from the fields of `Sweep`."""
    lines = [
        "# Sweep files",
        "",
        "A TOML file with any of these keys; flags are set over it. The embedded sweep of `mtpbench run` without",
        "arguments is `harness/sweeps/demo.toml`.",
        "",
        "| key | default | expected |",
        "|---|---|---|",
    ]
    for name, field in Sweep.model_fields.items():
        if name != "trust_remote_code":  # a file may not hold it
            default = (
                "none" if field.default in (None, (), {}) else json.dumps(field.default).replace("[null]", '"own"')
            )
            lines.append(f"| `{name}` | `{default}` | {str(field.description).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _fields(module: ModuleType) -> str:
    lines: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        lines += [f"### {node.name}", "", (ast.get_docstring(node) or "").replace("\n", " "), ""]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        for item, after in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(item, ast.AnnAssign):
                continue
            meaning = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                meaning = " ".join(str(after.value.value).split())
            kind = ast.unparse(item.annotation).replace("|", "\\|")
            lines.append(f"| `{ast.unparse(item.target)}` | `{kind}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def schema_page() -> str:
    """The run file's tables, the records behind them, and the JSON of `show --json`."""
    return f"""# The run file and its JSON

## Tables (schema {schema.VERSION})

SQLite, `application_id` 0x{schema.APPLICATION_ID:08X}, `user_version` {schema.VERSION}. Token ids are little-endian
int32 blobs; arrivals (ns, tokens) and steps (pass ns, total ns) are int64 pairs. Nothing in a run file is ever
executed.

```sql
{schema.TABLES.strip()}
```

## `show --json` (schema {verdicts.SCHEMA})

The top level is a `RunVerdict`. Ratios are plain over speculative: above 1 is faster. `null` is unknown or not
computed.

{_fields(verdicts)}{_fields(expected)}{_fields(certificate)}
## `gate --json` (schema {limits.SCHEMA})

The top level is a `GateVerdict` ([gate.md](gate.md)); the cell's key is a `CellKey`, the same settings as in `show`.

{_fields(limits)}{_fields(settling)}
## Records

{"".join(map(_fields, (asked, seen, layout)))}"""


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which are out of date (exit code 1)."""
    pages = {HERE / "cli.md": cli_page(), HERE / "schema.md": schema_page()}
    if "--check" in arguments:
        stale = [p for p, text in pages.items() if not p.exists() or p.read_text("utf-8") != text]
        for page in stale:
            print(f"docs/{page.name} is out of date: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for page, text in pages.items():
        page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
