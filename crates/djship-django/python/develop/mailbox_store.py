"""The messages on the disk: one file each, named by time and number, the oldest removed when there are too many.

A file is the message as it was sent, after a few lines of ours: `X-MailFrom`, and one `X-RcptTo` for each recipient,
which is how those of a blind copy can be known.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass

import mailbox_message

KEPT = 500
KEPT_BYTES = 512 * 1024 * 1024
NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{1,9})\.eml")
BEGUN = re.compile(r"\.new-\d{1,9}")
# What the list needs is in the first part of a message.
HEAD = 512 * 1024


@dataclass(frozen=True)
class Entry:
    """What the list says of a message."""

    number: int
    name: str
    received: str  # as in 2025-01-31T23:59:59Z
    size: int
    sender: str  # of the envelope
    recipients: tuple[str, ...]  # of the envelope
    author: str  # the header From
    subject: str


class Store:
    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.entries = {}  # by number, the oldest first
        found = []
        for name in os.listdir(self.folder):
            if BEGUN.fullmatch(name):
                os.unlink(self.path(name))
            elif match := NAME.fullmatch(name):
                found.append((int(match[2]), name))
        for number, name in sorted(found):
            # A file that cannot be read is left where it is, and not shown.
            with contextlib.suppress(OSError):
                self.entries[number] = self.entry(number, name)
        self.next = max((number for number, _ in found), default=0) + 1
        self.remove_oldest()

    def path(self, name):
        return os.path.join(self.folder, name)

    def entry(self, number, name):
        with open(self.path(name), "rb") as file:
            head = mailbox_message.head(file.read(HEAD))
            size = os.fstat(file.fileno()).st_size
        when = NAME.fullmatch(name)[1]
        return Entry(
            number=number, name=name, size=size,
            received=f"{when[:4]}-{when[4:6]}-{when[6:11]}:{when[11:13]}:{when[13:]}",
            sender=head.first("X-MailFrom"), recipients=tuple(head.all("X-RcptTo")),
            author=head.first("From"), subject=head.first("Subject"),
        )  # fmt: skip

    def add(self, sender, recipients, content):
        """Keeps a message, and returns its entry when it is safely on the disk."""
        lines = [f"X-MailFrom: {sender}", *(f"X-RcptTo: {recipient}" for recipient in recipients), ""]
        number = self.next
        self.next += 1
        name = time.strftime(f"%Y%m%dT%H%M%SZ-{number:06}.eml", time.gmtime())
        begun = self.path(f".new-{number}")
        try:
            with open(begun, "xb") as file:
                file.write("\r\n".join(lines).encode())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(begun, self.path(name))
            self.settle()
        except OSError:
            for path in (begun, self.path(name)):
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise
        entry = self.entries[number] = self.entry(number, name)
        self.remove_oldest()
        return entry

    def settle(self):
        """The names in the folder, too, outlast a loss of power."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, entry):
        with open(self.path(entry.name), "rb") as file:
            return file.read()

    def remove_oldest(self):
        size = sum(entry.size for entry in self.entries.values())
        for entry in list(self.entries.values())[:-1]:
            if len(self.entries) <= KEPT and size <= KEPT_BYTES:
                break
            self.remove(entry)
            size -= entry.size

    def remove(self, entry):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(entry.name))
        del self.entries[entry.number]

    def remove_all(self):
        for entry in list(self.entries.values()):
            self.remove(entry)
