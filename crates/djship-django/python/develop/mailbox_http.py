"""The side where mail is read: a small HTTP server for one person's browser and scripts.

    /               the list                       /N        a message
    /messages.json  the list for scripts           /N.eml    a message as it was sent
    /delete         POST: removes all              /N/html, /N/parts/M

Two things guard it from pages of other sites in the same browser: a Host that is no address (a name could be theirs,
pointed here) is refused, and so is a POST with another Origin.
"""

import asyncio
import ipaddress
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote

import mailbox_message
import mailbox_pages

HEAD = 32 * 1024  # bytes of a request
BODY = 64 * 1024
CONNECTIONS = 100
PATIENCE = 30  # seconds
DECISIVE = ("host", "origin", "sec-fetch-site", "content-length")

OWN_PAGES = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# A message's HTML has an origin of its own, runs nothing, and asks nobody for anything.
HTML_PART = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'{hosts}; "
    "img-src data:{hosts}; font-src data:{hosts}; form-action 'none'; frame-ancestors 'self'"
)


class Refused(Exception):
    """A request that gets an error; with the status and the words."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict


@dataclass
class Answer:
    content: bytes | str = b""
    kind: str = "text/html; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = OWN_PAGES
    headers: dict = field(default_factory=dict)

    def written(self, with_content):
        content = self.content.encode(errors="replace") if isinstance(self.content, str) else self.content
        headers = {
            "Content-Type": self.kind,
            "Content-Length": len(content),
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            # Not `no-referrer`: with it a browser sends no Origin with our own form.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (content if with_content else b"")


class Web:
    def __init__(self, store):
        self.store = store
        self.connections = 0

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            if self.connections <= CONNECTIONS:
                async with asyncio.timeout(PATIENCE):
                    request, answer = await self.exchange(reader)
                writer.write(answer.written(with_content=request is None or request.method != "HEAD"))
                async with asyncio.timeout(PATIENCE):
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):  # left, or too slow
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def exchange(self, reader):
        request = None
        try:
            request = await read_request(reader)
            return request, await self.answer(request)
        except Refused as error:
            content = mailbox_pages.problem(f"{error.status.value} {error.status.phrase}", error.text)
            return request, Answer(content, status=error.status)

    async def answer(self, request):
        guard(request)
        if request.method == "POST":
            if request.path != "/delete":
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing is posted here.")
            self.store.remove_all()
            return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        if request.path == "/":
            return Answer(mailbox_pages.listing(list(self.store.entries.values())))
        if request.path == "/style.css":
            return Answer(mailbox_pages.STYLE, "text/css; charset=utf-8")
        if request.path == "/messages.json":
            newest_first = reversed(self.store.entries.values())
            return Answer(json.dumps([described(entry) for entry in newest_first]), "application/json")
        match = re.fullmatch(r"/([1-9]\d{0,8})(\.eml|/html|/parts/([1-9]\d{0,3}))?", request.path, re.ASCII)
        entry = match and self.store.entries.get(int(match[1]))
        if not entry:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such message.")
        try:
            # Messages can be big: others are served meanwhile.
            with_pictures = request.query == "pictures"
            return await asyncio.to_thread(self.of_message, entry, match[2] or "", match[3], with_pictures)
        except FileNotFoundError:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such message.") from None
        except OSError as error:
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"Cannot read it: {error.strerror}") from error

    def of_message(self, entry, what, part_number, with_pictures):
        raw = self.store.read(entry)
        if what == ".eml":
            return download(raw, f"{entry.number}.eml", "message/rfc822")
        try:
            content = mailbox_message.read(raw)
        except mailbox_message.Unreadable:
            content = None
        if not what:
            return Answer(mailbox_pages.message(entry, content, with_pictures))
        if what == "/html" and content and content.html is not None:
            policy = HTML_PART.format(hosts=" http: https:" if with_pictures else "")
            answer = Answer(mailbox_pages.html_part(content), policy=policy)
            answer.headers["Referrer-Policy"] = "no-referrer"
            return answer
        part = content and part_number and content.part(int(part_number))
        if not part:
            raise Refused(HTTPStatus.NOT_FOUND, "The message has no such part.")
        return download(part.content, part.name, "application/octet-stream")


async def read_request(reader):
    """The request, its body read and forgotten."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        head = b""
    if not head or len(head) > HEAD:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.")
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = re.fullmatch(r"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.[01]", first)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        # Whatever is given twice is understood in two ways; only these decide anything.
        is_doubled = name in headers and name in DECISIVE
        if not colon or is_doubled or not re.fullmatch(r"[!-9;-~]+", name):
            match = None
        headers[name] = value.strip(" \t")
    if not match or "transfer-encoding" in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "This is not understood.")
    if match[1] not in ("GET", "HEAD", "POST"):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET, HEAD and POST are understood.")
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"\d{1,9}", length, re.ASCII) or int(length) > BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too big.")
    await reader.readexactly(int(length))
    path, _, query = match[2].partition("?")
    return Request(match[1], path, query, headers)


def guard(request):
    host = request.headers.get("host", "")
    name = re.sub(r":\d{1,5}\Z", "", host, flags=re.ASCII)
    if name.lower() != "localhost" and not is_address(name):
        raise Refused(HTTPStatus.FORBIDDEN, "Use the address, or localhost.")
    if request.method == "POST":
        # A browser sends at least one of these with a POST; a script on this machine may do without.
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin not in (None, f"http://{host}") or site not in (None, "same-origin"):
            raise Refused(HTTPStatus.FORBIDDEN, "Only a page of this server may do that.")


def is_address(name):
    try:
        if name.startswith("[") and name.endswith("]"):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def described(entry):
    return {
        "number": entry.number, "time": entry.received, "from": entry.author or entry.sender, "sender": entry.sender,
        "to": list(entry.recipients), "subject": entry.subject, "size": entry.size,
    }  # fmt: skip


def download(content, name, kind):
    """Only ever saved, never shown; the name is one path segment of harmless characters."""
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|%' else "_" for c in name).strip(". ")[-150:] or "part"
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    encoded = quote(name.encode(errors="replace"), safe="")
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    return Answer(content, kind, policy="sandbox; default-src 'none'", headers={"Content-Disposition": disposition})
