"""An explanation written out: Markdown, or one HTML file that needs nothing besides itself and prints on A4."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Final, assert_never

from market.explanation import Explanation
from market.explanationblocks import Block, Figure, Heading, Page, Quote, Table, Text, Tiles
from market.explanationcharts import phases_svg, prices_svg
from market.explanationpage import page
from market.explanationwords import Language

__all__ = ["digest", "html", "markdown"]


def digest(text: str) -> str:
    """Return the SHA-256 of a written explanation, so that a receipt can name what was delivered."""
    return sha256(text.encode()).hexdigest()


def markdown(told: Explanation, language: Language) -> str:
    """Write an explanation as Markdown; its pictures are left to the HTML."""
    document = page(told, language)
    lines = [f"# {document.title}", "", document.subtitle, ""]
    for block in document.blocks:
        lines += _markdown_block(block)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield from (f"## {block.text}", "")
        case Text():
            yield from (f"**{_plain(block.text)}**" if block.warning else _plain(block.text), "")
        case Quote():
            yield from (f"**{_plain(block.title)}**", "", f"> {_plain(block.text)}", "")
        case Tiles():
            yield from (f"- {tile.label}: **{tile.value}**{f' ({tile.note})' if tile.note else ''}" for tile in block.tiles)
            yield ""
        case Table():
            yield from _markdown_table(block)
        case Figure():
            return
        case _:
            assert_never(block)


def _markdown_table(table: Table) -> Iterator[str]:
    head = table.head or ("",) * len(table.rows[0])
    yield f"| {' | '.join(_cell(text) for text in head)} |"
    yield f"|{'|'.join('--:' if column in table.numeric else '---' for column in range(len(head)))}|"
    for row in table.rows:
        cells = [f"**{_cell(row[0])}**", *("",) * (len(head) - 1)] if _over(row, table) else [_cell(text) for text in row]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _over(row: tuple[str, ...], table: Table) -> bool:
    """Whether a row stands over those below it."""
    return len(row) == 1 < len(table.head)


def _cell(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace("|", "\\|")


def _plain(text: str) -> str:
    """Keep what people wrote from being markup, and on one line."""
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def html(told: Explanation, language: Language) -> str:
    """Write an explanation as one HTML file: no script, no address outside, print styles, both pictures drawn in."""
    document = page(told, language)
    body = "\n".join(_html_block(block, told, document) for block in document.blocks)
    code = "zh-CN" if language is Language.ZH else "en"
    return (
        f'<!DOCTYPE html>\n<html lang="{code}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(document.title)} · {escape(told.number)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p></header>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html_block(block: Block, told: Explanation, document: Page) -> str:
    match block:
        case Heading():
            return f"<h2>{escape(block.text)}</h2>"
        case Text():
            kind = "warning" if block.warning else "quiet" if block.quiet else ""
            return f'<p class="{kind}">{escape(block.text)}</p>' if kind else f"<p>{escape(block.text)}</p>"
        case Quote():
            return f"<blockquote><b>{escape(block.title)}</b><p>{escape(block.text)}</p></blockquote>"
        case Tiles():
            tiles = "".join(
                f'<div class="tile{" late" if tile.warning else ""}"><span>{escape(tile.label)}</span><b>{escape(tile.value)}</b>'
                f"<i>{escape(tile.note)}</i></div>"
                for tile in block.tiles
            )
            return f'<div class="tiles">{tiles}</div>'
        case Table():
            return _html_table(block)
        case Figure():
            draw = phases_svg if block.kind == "phases" else prices_svg
            drawn = draw(told, document.language, block.caption)
            return f"<figure><figcaption>{escape(block.caption)}</figcaption>{drawn}</figure>" if drawn else ""
        case _:
            assert_never(block)


def _html_table(table: Table) -> str:
    kinds = [*(["small"] if table.small else []), *(["names"] if not table.head else [])]
    columns = range(len(table.head or table.rows[0]))
    cells = [' class="n"' if c in table.numeric else ' class="w"' if c in table.whole else "" for c in columns]
    head = "".join(f"<th{kind}>{escape(text)}</th>" for text, kind in zip(table.head, cells, strict=False))
    rows = []
    for number, row in enumerate(table.rows):
        if _over(row, table):
            rows.append(f'<tr class="over"><td colspan="{len(table.head)}">{escape(row[0])}</td></tr>')
            continue
        tone = table.tones[number] if number < len(table.tones) else ""
        told = "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(row, cells, strict=True))
        rows.append(f"<tr{f' class={tone!r}' if tone else ''}>{told}</tr>")
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="wide"><table class="{" ".join(kinds)}">{top}<tbody>{"".join(rows)}</tbody></table></div>'


_STYLE: Final = """
:root{--ink:#1d2733;--soft:#5b6876;--line:#d5dbe1;--well:#f4f6f8;--blue:#1f4e79;--red:#b3261e;--green:#2f7d6b}
*{box-sizing:border-box}
html{background:#e9edf0;color:var(--ink);-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{margin:0;font:15px/1.6
"Noto Sans","Noto Sans CJK SC","Source Han Sans SC","PingFang SC","Microsoft YaHei","Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:1040px;margin:24px auto;padding:44px 56px 56px;background:#fff;box-shadow:0 1px 6px rgb(0 0 0/.14)}
header{border-bottom:3px double var(--blue);margin-bottom:22px;padding-bottom:12px;text-align:center}
h1{font-size:26px;line-height:1.3;margin:0 0 8px;color:var(--blue);letter-spacing:.01em}
header p{margin:0;color:var(--soft);font-size:13.5px}
h2{font-size:17.5px;margin:32px 0 10px;padding-left:10px;border-left:4px solid var(--blue);break-after:avoid}
p{margin:8px 0}.quiet{color:var(--soft);font-size:13.5px}
.warning{border:1px solid #e0a8a4;background:#fdf2f1;color:#8c1d18;padding:8px 14px;font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-bottom:18px}
.tile{border:1px solid var(--line);border-top:3px solid var(--blue);padding:9px 14px 10px;background:var(--well);break-inside:avoid}
.tile.late{border-top-color:var(--red)}.tile span,.tile i{display:block;color:var(--soft);font-size:13px;font-style:normal}
.tile b{display:block;font-size:22px;line-height:1.35;font-variant-numeric:tabular-nums}.tile.late b{color:var(--red)}
.wide{overflow-x:auto;margin:10px 0 14px}
table{border-collapse:collapse;width:100%;font-size:13.5px;line-height:1.5;font-variant-numeric:tabular-nums}
th{background:#e8eef4;text-align:left;font-weight:600;border-bottom:2px solid #b6c4d2}
th{white-space:nowrap}tr.over td{background:var(--well);font-weight:600;color:var(--soft)}
th,td{padding:5px 10px;vertical-align:top;border-bottom:1px solid var(--line)}
.w{white-space:nowrap}thead{display:table-header-group}tr{break-inside:avoid}
.n{text-align:right;white-space:nowrap}.names td:first-child{color:var(--soft);width:9em}
.names td{overflow-wrap:anywhere}
tr.trip td{background:#fbe9e7;font-weight:600}tr.trip td:first-child{box-shadow:inset 4px 0 var(--red)}
tr.back td:first-child{box-shadow:inset 4px 0 var(--green)}tr.late td{color:#8c1d18}tr.late td:first-child{box-shadow:inset 4px 0 #e3b341}
.small{font-size:11.5px;color:#3c4956}.small td,.small th{padding:2px 8px}.small td:last-child{overflow-wrap:anywhere}
blockquote{margin:10px 0;padding:8px 16px;background:var(--well);border-left:4px solid #9fb4c8;break-inside:avoid}
blockquote b{font-size:13px;color:var(--soft)}blockquote p{margin:4px 0 0}
figure{margin:14px 0;break-inside:avoid}figcaption{font-size:13px;color:var(--soft);margin-bottom:2px}
svg{width:100%;height:auto;display:block;font:12px "Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",Arial,sans-serif}
svg .grid{stroke:#dfe4e9;stroke-width:1}svg .tick{fill:#44515e}svg .on{fill:#fff;font-weight:600;font-size:13px}svg .pale{fill:#1d2733}
svg .lead{stroke:#8695a3;stroke-width:1}svg .under{opacity:.1}svg .price{stroke-width:2.6}svg .riser{stroke:#8695a3;stroke-width:1}
@page{size:A4;margin:16mm 14mm}
@media print{html{background:#fff}body{font-size:10.5pt}main{box-shadow:none;margin:0;padding:0;max-width:none}.wide{overflow:visible}
table{font-size:9pt}
.small{font-size:7.2pt}h1{font-size:18pt}h2{font-size:12.5pt}}
@media(max-width:640px){main{padding:22px 16px;margin:0}}
"""
