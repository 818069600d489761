"""The side where mail comes in: SMTP as RFC 5321 has it, with SIZE, 8BITMIME, SMTPUTF8 and AUTH.

Every user name and password is right, every address has a mailbox, and STARTTLS is not offered.
"""

import asyncio
import re

LIMIT = 25 * 1024 * 1024  # bytes of a message
LINE = 12288  # bytes of a command; RFC 4954 wants this much for AUTH
CHUNK = 64 * 1024
RECIPIENTS = 1000
ADDRESS = 320  # bytes
CONNECTIONS = 100
PATIENCE = 300  # seconds without a word
BAD_COMMANDS = 10

PATH = re.compile(r'(FROM|TO):\s*(?:<((?:"(?:[^"\\]|\\.)*"|[^"<>\s])*)>|([^"<>\s]+))(?:\s+(.*))?', re.IGNORECASE)
# A browser that was sent here by a page must not leave mail.
OTHER_PROTOCOL = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}


class Gone(Exception):
    """The other side left, or is to be left."""


class Words:
    """What the other side says, by line or by message."""

    def __init__(self, reader):
        self.reader = reader
        self.buffer = bytearray()

    async def more(self):
        async with asyncio.timeout(PATIENCE):
            chunk = await self.reader.read(CHUNK)
        if not chunk:
            raise Gone
        self.buffer += chunk

    async def line(self):
        """One line without its end; None if it is too long."""
        too_long = False
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > LINE:
                too_long = True
                self.buffer.clear()
            await self.more()
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        del self.buffer[: end + 1]
        return None if too_long or len(line) > LINE else line

    async def message(self):
        """All up to the line with nothing but a dot; None if it is too big.

        Only a whole CR LF ends a line here, so that both sides agree on where the message ends.
        """
        end_mark, too_big, seen = b"\r\n.\r\n", False, 0
        # The end of the command itself, so that the first line begins like the others.
        self.buffer[:0] = b"\r\n"
        while (end := self.buffer.find(end_mark, seen)) < 0:
            if too_big or len(self.buffer) > LIMIT + CHUNK:
                too_big = True
                del self.buffer[: -len(end_mark)]
            seen = max(0, len(self.buffer) - len(end_mark))
            await self.more()
        content = bytes(self.buffer[: end + 2])
        del self.buffer[: end + len(end_mark)]
        if too_big:
            return None
        content = content.replace(b"\r\n.", b"\r\n")[2:]
        return content if len(content) <= LIMIT else None


class Reception:
    """Takes connections. `report` gets a line for each message."""

    def __init__(self, store, report):
        self.store = store
        self.report = report
        self.connections = 0

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            if self.connections > CONNECTIONS:
                writer.write(b"421 too many connections\r\n")
            else:
                await Session(self, Words(reader), writer).run()
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except (OSError, Gone):  # a TimeoutError is an OSError
            pass
        finally:
            self.connections -= 1
            writer.close()

    def keep(self, sender, recipients, content):
        """The answer to a message."""
        try:
            entry = self.store.add(sender, recipients, content)
        except OSError as error:
            self.report(f"cannot store a message: {error.strerror or error}")
            return "452 cannot store the message"
        more = f" and {len(recipients) - 3} more" if len(recipients) > 3 else ""
        self.report(f"mail from {sender or '<>'} to {', '.join(recipients[:3])}{more}: {entry.subject}")
        return f"250 kept as {entry.number}"


class Session:
    """One connection."""

    def __init__(self, reception, words, writer):
        self.reception = reception
        self.words = words
        self.writer = writer
        self.greeted = False
        self.bad = 0
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.utf8 = None, [], False

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def run(self):
        await self.say("220 djship mailbox ESMTP")
        while True:
            await self.say(await self.answer(await self.words.line()))
            if self.bad > BAD_COMMANDS:
                await self.say("421 too many errors")
                return

    async def answer(self, line):
        self.bad += 1
        if line is None:
            return "500 line too long"
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return "500 not UTF-8"
        word, _, rest = text.strip().partition(" ")
        if word.upper() in OTHER_PROTOCOL:
            raise Gone
        command = getattr(self, f"do_{word.lower()}", None) if word.isascii() and word.isalpha() else None
        answer = await command(rest.strip()) if command else "500 unknown command"
        if answer[0] in "23":
            self.bad = 0
        return answer

    async def do_helo(self, name):
        if not name:
            return "501 HELO NAME"
        self.greeted = True
        self.reset()
        return "250 djship"

    async def do_ehlo(self, name):
        if not name:
            return "501 EHLO NAME"
        self.greeted = True
        self.reset()
        return f"250-djship\r\n250-SIZE {LIMIT}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN"

    async def do_auth(self, rest):
        mechanism, _, initial = rest.partition(" ")
        questions = {"PLAIN": [""], "LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]}.get(mechanism.upper())
        if not self.greeted:
            return "503 EHLO first"
        if questions is None:
            return "504 PLAIN or LOGIN"
        for question in questions[1 if initial else 0 :]:
            await self.say(f"334 {question}")
            answer = await self.words.line()
            if answer is None or answer == b"*":
                return "501 cancelled"
        return "235 welcome"

    async def do_mail(self, rest):
        match = PATH.fullmatch(rest)
        if not self.greeted:
            return "503 EHLO first"
        if self.sender is not None:
            return "503 one sender at a time"
        if not match or match[1].upper() != "FROM":
            return "501 MAIL FROM:<ADDRESS>"
        utf8 = False
        for word in (match[4] or "").upper().split():
            name, _, value = word.partition("=")
            if word == "SMTPUTF8":
                utf8 = True
            elif name == "SIZE" and value.isascii() and value.isdigit() and len(value) <= 20:
                if int(value) > LIMIT:
                    return f"552 more than {LIMIT} bytes"
            elif word not in ("BODY=7BIT", "BODY=8BITMIME") and name != "AUTH":
                return f"555 unknown parameter {name}"
        sender = match[2] or match[3] or ""
        problem = self.problem(sender, utf8)
        if problem:
            return problem
        self.sender, self.utf8 = sender, utf8
        return "250 ok"

    async def do_rcpt(self, rest):
        match = PATH.fullmatch(rest)
        if self.sender is None:
            return "503 MAIL first"
        if not match or match[1].upper() != "TO" or not (match[2] or match[3]):
            return "501 RCPT TO:<ADDRESS>"
        if match[4]:
            return "555 unknown parameter"
        if len(self.recipients) >= RECIPIENTS:
            return "452 too many recipients"
        recipient = match[2] or match[3]
        problem = self.problem(recipient, self.utf8)
        if not problem:
            self.recipients.append(recipient)
        return problem or "250 ok"

    def problem(self, address, utf8):
        if not address.isprintable() or len(address.encode()) > ADDRESS:
            return f"501 an address is at most {ADDRESS} bytes, none of them a control character"
        return None if address.isascii() or utf8 else "553 an address outside ASCII needs SMTPUTF8"

    async def do_data(self, rest):
        if rest:
            return "501 DATA alone"
        if not self.recipients:
            return "503 RCPT first"
        await self.say("354 end with a dot on a line of its own")
        content = await self.words.message()
        sender, recipients = self.sender, self.recipients
        self.reset()
        if content is None:
            return f"552 more than {LIMIT} bytes"
        return self.reception.keep(sender, recipients, content)

    async def do_rset(self, _):
        self.reset()
        return "250 ok"

    async def do_noop(self, _):
        return "250 ok"

    async def do_vrfy(self, name):
        return "252 every address is taken" if name else "501 VRFY ADDRESS"

    async def do_help(self, _):
        return "214 EHLO HELO AUTH MAIL RCPT DATA RSET NOOP VRFY QUIT"

    async def do_quit(self, _):
        await self.say("221 bye")
        raise Gone
