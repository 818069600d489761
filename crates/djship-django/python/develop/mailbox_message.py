"""A message taken apart. Its bytes may be anything: every limit here keeps a hostile one from costing much."""

import email.parser
import email.policy
import re
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header

HEADER = 16 * 1024  # characters of one header
HEADERS = 500
PARTS = 200
SHOWN = 2 * 1024 * 1024  # characters of a text
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class Unreadable(Exception):
    """Python's parser gave up."""


def text(value):
    """A header's value as a person reads it."""
    value = re.sub(r"\r?\n(?=[ \t])", "", value[:HEADER]).strip()
    # What was not ASCII is in here as single surrogates; by SMTPUTF8 it is UTF-8.
    value = value.encode("ascii", "surrogateescape").decode(errors="replace")
    if "=?" not in value or not value.isascii():
        return value
    try:
        decoded = str(make_header(decode_header(value)))
    except (ValueError, LookupError, MessageError):  # no such character set, or not in it
        return value
    return decoded.encode(errors="replace").decode()


class AsRead(email.policy.Compat32):
    """The parser that forgives most, and headers as `text` gives them."""

    def header_fetch_parse(self, name, value):
        return text(value)


class Head:
    """The headers of a message."""

    def __init__(self, message):
        self.message = message

    def first(self, name):
        return self.message.get(name, "")

    def all(self, name):
        return self.message.get_all(name, [])

    def pairs(self):
        return self.message.items()[:HEADERS]


def head(content):
    """The headers of a message, of which only the beginning need be there."""
    block = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    return Head(email.parser.BytesHeaderParser(policy=AsRead()).parsebytes(block))


@dataclass(frozen=True)
class Part:
    """Something that can be downloaded."""

    number: int
    kind: str
    name: str
    content: bytes
    content_id: str


@dataclass
class Message:
    head: Head
    text: str | None = None
    html: str | None = None
    parts: list[Part] = field(default_factory=list)

    def part(self, number):
        return next((part for part in self.parts if part.number == number), None)

    def pictures(self):
        """Pictures that the HTML may show, by the name that it has for them."""
        return {part.content_id: part for part in self.parts if part.content_id and part.kind in PICTURES}


def read(content):
    try:
        parsed = email.parser.BytesParser(policy=AsRead()).parsebytes(content)
        message = Message(Head(parsed))
        for number, part in enumerate(leaves(parsed), 1):
            take(message, number, part)
    # Nesting ends in a RecursionError, and defects that the parser does not expect in almost anything.
    except Exception as error:
        raise Unreadable(type(error).__name__) from error
    return message


def leaves(parsed):
    waiting, count = [parsed], 0
    while waiting and count < PARTS:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting.extend(reversed(part.get_payload()))
        else:
            count += 1
            yield part


def take(message, number, part):
    kind = part.get_content_type()
    name = part.get_filename("")
    is_attached = bool(name) or part.get_content_disposition() == "attachment"
    if not is_attached and kind == "text/plain" and message.text is None:
        message.text = decoded(part)
    elif not is_attached and kind == "text/html" and message.html is None:
        message.html = decoded(part)
    else:
        content_id = part.get("Content-ID", "").strip().removeprefix("<").removesuffix(">")
        message.parts.append(Part(number, kind, name or f"part-{number}", raw(part), content_id))


def raw(part):
    if part.is_multipart():  # a message in the message
        return b"\r\n".join(inner.as_bytes() for inner in part.get_payload())
    return part.get_payload(decode=True) or b""


def decoded(part):
    content = raw(part)
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")[:SHOWN]
    except (LookupError, ValueError):  # no such character set
        return content.decode("utf-8", "replace")[:SHOWN]
