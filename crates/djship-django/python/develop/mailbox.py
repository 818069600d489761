"""Catches the mail that a project sends, and shows it.

    mailbox.py --smtp ADDRESS:PORT[,ADDRESS:PORT] --http ADDRESS:PORT --folder FOLDER

Nothing is ever sent on. Messages are `.eml` files in the folder, at most 500 (mailbox_store.py). A first line says
where it listens; then there is one line for each message. SIGTERM ends it at once.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys

from mailbox_http import Web
from mailbox_smtp import Reception
from mailbox_store import Store


class CannotListen(Exception):
    """Where and why."""


def address(text):
    """`127.0.0.1:25` or `[::1]:25` as host and port."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def addresses(text):
    return [address(part) for part in text.split(",")]


def written(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def listen(handle, host, port):
    """Accepts connections from now on; returns where, as the port given may be 0 for any."""
    try:
        # Not by the loop, which does not say why an address cannot be had.
        bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise CannotListen(f"cannot listen on {written(host, port)}: {reason}") from error
    return await asyncio.start_server(handle, sock=bound), written(*bound.getsockname()[:2])


async def serve(arguments, store):
    reception, web = Reception(store, report), Web(store)
    # A server stops listening when nothing refers to it.
    servers = [await listen(reception.handle, *place) for place in arguments.smtp]
    servers.append(await listen(web.handle, *arguments.http))
    places = [place for _, place in servers]
    report(f"smtp on {', '.join(places[:-1])}; messages at http://{places[-1]}/")
    await asyncio.Event().wait()


def report(line):
    """One line, whatever was sent: no line ends, and nothing that a terminal would obey."""
    print("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Catches mail and shows it.", allow_abbrev=False)
    parser.add_argument("--smtp", type=addresses, required=True, metavar="ADDRESS:PORT[,ADDRESS:PORT]")
    parser.add_argument("--http", type=address, required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    # What a sender was told is stored is on the disk, so there is nothing left to do at the end. A handler is
    # needed: the first process of a container has no default action for signals.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    try:
        store = Store(arguments.folder)
    except OSError as error:
        return f"mailbox: cannot use the folder {arguments.folder}: {error.strerror or error}"
    try:
        asyncio.run(serve(arguments, store))
    except CannotListen as error:
        return f"mailbox: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
