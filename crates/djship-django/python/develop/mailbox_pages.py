"""The pages: plain HTML without scripts. Everything that comes from a message is escaped, or kept in a frame in which
nothing runs."""

import base64
import re
from datetime import UTC, datetime
from html import escape

PICTURE_BYTES = 20 * 1024 * 1024
WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'`]{1,2000}")
SHOWN_HEADERS = ["From", "To", "Cc", "Bcc", "Reply-To", "Date"]

STYLE = """\
:root { color-scheme: light dark;
  --line: #d9dee4; --soft: #5c6773; --back: #f6f8fa; --card: #fff; --ink: #1c2329; --mark: #0b6e4f }
@media (prefers-color-scheme: dark) {
  :root { --line: #30363d; --soft: #98a3ae; --back: #0f1317; --card: #181d23; --ink: #e4e9ee; --mark: #5fd0a5 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 64rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
a { color: var(--mark) }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: baseline; justify-content: space-between;
  margin-bottom: 1rem }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere }
h2 { font-size: .85rem; margin: 1.5rem 0 .4rem; color: var(--soft); font-weight: 600 }
h2 a { font-weight: 400; margin-left: .6rem }
nav { display: flex; gap: 1rem }
button { font: inherit; color: var(--soft); background: none; border: 1px solid var(--line); border-radius: 6px;
  padding: .25rem .75rem; cursor: pointer }
button:hover { color: var(--ink); border-color: var(--soft) }
ol, .card { list-style: none; margin: 0; padding: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow: hidden }
li + li { border-top: 1px solid var(--line) }
li a { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 1rem; padding: .65rem 1rem; color: inherit;
  text-decoration: none }
li a:hover, li a:focus-visible { background: var(--back) }
li b, li span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
li span, time { color: var(--soft); font-size: .87rem }
li time, li span:last-child { text-align: right }
dl.card { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; padding: .9rem 1rem }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
pre.card { padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font: 13.5px/1.55 ui-monospace, monospace }
.frame { height: 32rem; resize: vertical; background: #fff }
iframe { width: 100%; height: 100%; border: 0; color-scheme: light }
.card.nothing { padding: 4rem 1rem; text-align: center; color: var(--soft) }
summary { cursor: pointer; color: var(--soft); margin-top: 1.5rem }
details[open] summary { margin-bottom: .4rem }
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{extra}
<title>{title}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>
<body>{body}</body>
</html>
"""


def page(title, body, extra=""):
    return PAGE.format(title=escape(title), body=body, extra=extra)


def size(count):
    for unit, length in (("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} bytes"


def age(received, now):
    seconds = max(0, int((now - datetime.fromisoformat(received)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


def listing(entries):
    """The list, the newest first; it looks for new ones by itself."""
    rows, now = [], datetime.now(UTC)
    for entry in reversed(entries):
        rows.append(
            f'<li><a href="/{entry.number}"><b>{escape(entry.subject) or "(no subject)"}</b>'
            f'<time datetime="{entry.received}" title="{entry.received}">{age(entry.received, now)}</time>'
            f"<span>{escape(entry.author or entry.sender or '<>')} → {escape(shortened(entry.recipients))}</span>"
            f"<span>{size(entry.size)}</span></a></li>"
        )
    body = "<header><h1>Mail</h1>"
    if rows:
        body += '<form method="post" action="/delete"><button>Delete all</button></form>'
        body += f"</header><main><ol>{''.join(rows)}</ol></main>"
    else:
        body += '</header><main class="card nothing">No mail yet. What the project sends appears here.</main>'
    return page(f"Mail ({len(rows)})", body, '<meta http-equiv="refresh" content="5">')


def shortened(recipients):
    more = f" and {len(recipients) - 5} more" if len(recipients) > 5 else ""
    return ", ".join(recipients[:5]) + more


def message(entry, content, with_pictures):
    """One message. `content` is as `mailbox_message.read` gives it, or None where it cannot be read."""
    number = entry.number
    body = (
        f"<header><h1>{escape(entry.subject) or '(no subject)'}</h1>"
        f'<nav><a href="/">All mail</a><a href="/{number}.eml">Download</a></nav></header><main>'
    )
    if content is None:
        text = "This message cannot be taken apart. Its bytes can be downloaded."
        return page(entry.subject, f'{body}<p class="card nothing">{text}</p></main>')
    fields = [(name, ", ".join(content.head.all(name))) for name in SHOWN_HEADERS]
    fields.append(("Delivered", f"{entry.received} from {entry.sender or '<>'} to {shortened(entry.recipients)}"))
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in fields if value)
    body += f'<dl class="card">{rows}</dl>'
    if content.html is not None:
        this, other, word = ("?pictures", "", "without") if with_pictures else ("", "?pictures", "with")
        body += (
            f'<h2>HTML<a href="/{number}{other}">{word} pictures from elsewhere</a></h2>'
            f'<div class="card frame"><iframe title="HTML" src="/{number}/html{this}"'
            ' sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe></div>'
        )
    if content.text is not None:
        body += f'<h2>Text</h2><pre class="card">{linked(content.text)}</pre>'
    if content.parts:
        rows = "".join(
            f'<li><a href="/{number}/parts/{part.number}" download><b>{escape(part.name)}</b>'
            f"<span>{escape(part.kind)}, {size(len(part.content))}</span></a></li>"
            for part in content.parts
        )
        body += f"<h2>Attachments</h2><ol>{rows}</ol>"
    headers = "\n".join(f"{escape(name)}: {escape(value)}" for name, value in content.head.pairs())
    body += f'<details><summary>All headers</summary><pre class="card">{headers}</pre></details></main>'
    return page(entry.subject or "(no subject)", body)


def linked(text):
    """The text escaped, with the web addresses in it as links."""
    pieces, at = [], 0
    for match in WEB_ADDRESS.finditer(text):
        address = match[0].rstrip(".,;:!?)]}")
        there = escape(address)
        pieces.append(escape(text[at : match.start()]))
        pieces.append(f'<a href="{there}" target="_blank" rel="noopener noreferrer">{there}</a>')
        at = match.start() + len(address)
    pieces.append(escape(text[at:]))
    return "".join(pieces)


def html_part(content):
    """The HTML of a message as it is shown: links open elsewhere, and pictures that came along are put into it."""
    pictures, budget = content.pictures(), PICTURE_BYTES

    def embedded(match):
        nonlocal budget
        part = pictures.get(match[1])
        if part is None or len(part.content) > budget:
            return match[0]
        budget -= len(part.content)
        return f"data:{part.kind};base64,{base64.b64encode(part.content).decode()}"

    html = re.sub(r"(?i)\bcid:([^\s\"'<>()]{1,500})", embedded, content.html)
    base = '<base target="_blank">'
    # Before the doctype it would change how the page is laid out.
    for mark in (r"<head\b[^>]{0,1000}>", r"<!doctype\b[^>]{0,1000}>"):
        if match := re.search(mark, html, re.IGNORECASE):
            return html[: match.end()] + base + html[match.end() :]
    return base + html


def problem(status, text):
    head = f'<header><h1>{escape(status)}</h1><nav><a href="/">All mail</a></nav></header>'
    return page(status, f"{head}<p>{escape(text)}</p>")
