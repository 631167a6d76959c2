"""How a rehearsal went, as a table: for a terminal, or in Markdown for the file of the shift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from streams.drill import DrillResult

__all__ = ["markdown_report", "table_report"]

_HEADINGS = ("drill", "what", "result", "checks", "decisions", "rules", "first difference")


def markdown_report(results: Sequence[DrillResult]) -> str:
    """Return a Markdown table, and the sum below it."""
    rows = ["| " + " | ".join(_HEADINGS) + " |", "|" + "---|" * len(_HEADINGS)]
    rows += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in _rows(results)]
    return "\n".join([*rows, "", _sum(results)])


def table_report(results: Sequence[DrillResult]) -> Table:
    """Return the same for a terminal."""
    table = Table(show_edge=False, pad_edge=False, caption=_sum(results), caption_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in ("checks", "decisions") else "left", overflow="fold")
    for row in _rows(results):
        table.add_row(*row, style=None if row[2] == "passed" else "bold red")
    return table


def _rows(results: Sequence[DrillResult]) -> Iterator[tuple[str, ...]]:
    for result in results:
        wrong = next((check for check in result.checks if not check.ok), None)
        first = f"step {wrong.step}: {wrong.key}: expected {wrong.expected}, found {wrong.actual}" if wrong else ""
        if not result.checks:
            first = "it expects nothing, and so proves nothing"
        met = sum(check.ok for check in result.checks)
        verdict = "passed" if result.passed else "FAILED"
        counts = (f"{met} of {len(result.checks)}", str(len(result.decisions)))
        yield (result.scenario_id, result.title, verdict, *counts, result.rule_set, first)


def _sum(results: Sequence[DrillResult]) -> str:
    passed, checks = sum(result.passed for result in results), sum(len(result.checks) for result in results)
    return f"{passed} of {len(results)} drills passed, with {checks} checks."
