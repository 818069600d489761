"""The mail catcher, as a process of its own: spoken to by smtplib, by bare sockets and by http.client."""

import base64
import http.client
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import tempfile
import unittest
from email.message import EmailMessage
from pathlib import Path

from synthetic import INTERPRETER, PYTHON_FOLDER

MAILBOX = PYTHON_FOLDER / "develop" / "mailbox.py"
LISTENS = re.compile(r"smtp on (.+); messages at http://(.+)/")
TIMEOUT = 60
LIMIT = 25 * 1024 * 1024


def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def command(folder, smtp="127.0.0.1:0", web="127.0.0.1:0"):
    return [INTERPRETER, "-B", str(MAILBOX), "--smtp", smtp, "--http", web, "--folder", str(folder)]


def note(**headers):
    message = EmailMessage()
    headers = {"From": "shop@example.org", "To": "ann@example.org", "Subject": "Your order", **headers}
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Thank you.\n")
    return message


class MailboxTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name, "mail")
        self.start()

    def start(self, **places):
        self.process = subprocess.Popen(
            command(self.folder, **places), stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        match = LISTENS.fullmatch(self.process.stdout.readline().strip())
        self.assertTrue(match)
        self.smtp_places = [place(text) for text in match[1].split(", ")]
        self.smtp_place, self.web_place = self.smtp_places[0], place(match[2])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def smtp(self):
        client = smtplib.SMTP(*self.smtp_place, timeout=TIMEOUT)
        self.addCleanup(client.close)
        return client

    def send(self, message, **options):
        with smtplib.SMTP(*self.smtp_place, timeout=TIMEOUT) as client:
            client.send_message(message, **options)
        return self.process.stdout.readline().rstrip("\n")

    def send_bytes(self, content, sender="shop@example.org", recipients=("ann@example.org",)):
        with smtplib.SMTP(*self.smtp_place, timeout=TIMEOUT) as client:
            client.sendmail(sender, list(recipients), content)
        return self.process.stdout.readline().rstrip("\n")

    def socket(self, where):
        connection = socket.create_connection(where, TIMEOUT)
        self.addCleanup(connection.close)
        return connection, self.enterContext(connection.makefile("rb"))

    def ask(self, path, method="GET", **headers):
        """Status, headers and content of the answer."""
        connection = http.client.HTTPConnection(*self.web_place, timeout=TIMEOUT)
        self.addCleanup(connection.close)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def page(self, path):
        status, _, content = self.ask(path)
        self.assertEqual(status, 200, content)
        return content.decode()

    def list(self):
        return json.loads(self.page("/messages.json"))

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())


class SmtpTest(MailboxTest):
    def test_a_message_is_kept_listed_and_told(self):
        everybody = ["ann@example.org", "ben@example.org", "eve@example.org", "fay@example.org"]
        line = self.send(note(), to_addrs=everybody)
        self.assertEqual(line, f"mail from shop@example.org to {', '.join(everybody[:3])} and 1 more: Your order")
        (entry,) = self.list()
        self.assertRegex(entry.pop("time"), r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
        (name,) = self.files()
        self.assertRegex(name, r"\A\d{8}T\d{6}Z-000001\.eml\Z")
        self.assertEqual(
            entry,
            {
                "number": 1, "from": "shop@example.org", "sender": "shop@example.org", "subject": "Your order",
                "to": everybody, "size": (self.folder / name).stat().st_size,
            },
        )  # fmt: skip
        page = self.page("/")
        self.assertIn("Your order", page)
        self.assertIn(", ".join(everybody), page)

    def test_lines_that_begin_with_dots(self):
        text = ".\r\n..\r\n.hidden\r\nfull stop.\r\n.\r\n"
        self.send_bytes(f"Subject: dots\r\n\r\n{text}".encode())
        content = self.ask("/1.eml")[2]
        self.assertEqual(content.partition(b"\r\n\r\n")[2], text.encode())

    def test_lines_of_any_length_and_bytes_of_any_kind(self):
        text = b"\xff\xfe\0" + b"x" * 300_000 + b"\rlone\r\r\n"
        connection, file = self.socket(self.smtp_place)
        connection.sendall(b"EHLO a\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n\r\n")
        connection.sendall(text + b"\n.\n.\r\nQUIT\r\n")  # no end: LF alone ends no line
        connection.sendall(b".\r\nQUIT\r\n")
        self.assertTrue(file.read().endswith(b"250 kept as 1\r\n221 bye\r\n"))
        content = self.ask("/1.eml")[2]
        self.assertTrue(content.endswith(b"\r\n" + text + b"\n.\n.\r\nQUIT\r\n"))

    def test_everybody_may_log_in(self):
        for mechanism in ("PLAIN", "LOGIN"):
            client = self.smtp()
            client.ehlo()
            client.user, client.password = "shop", "secret"
            client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            self.assertEqual(client.noop()[0], 250)
        client = self.smtp()
        client.login("shop", "secret")
        self.assertEqual(client.docmd("AUTH", "PLAIN")[0], 334)
        self.assertEqual(client.docmd("x" * 100)[0], 235)
        self.assertEqual(client.docmd("AUTH", "LOGIN")[0], 334)
        self.assertEqual(client.docmd("*")[0], 501)
        self.assertEqual(client.docmd("AUTH", "CRAM-MD5")[0], 504)

    def test_what_is_offered(self):
        client = self.smtp()
        client.ehlo()
        features = dict(client.esmtp_features)
        self.assertEqual(set(features) - {"auth"}, {"size", "8bitmime", "smtputf8"})
        self.assertEqual(features["size"], str(LIMIT))
        self.assertEqual(client.docmd("STARTTLS")[0], 500)
        self.assertEqual(client.helo()[0], 250)
        self.assertEqual(client.verify("ann@example.org")[0], 252)

    def test_commands_out_of_order_and_malformed(self):
        client = self.smtp()
        for line, code in (
            ("MAIL FROM:<a@example.org>", 503), ("EHLO", 501), ("EHLO a", 250), ("RCPT TO:<b@example.org>", 503),
            ("DATA", 503), ("MAIL TO:<a@example.org>", 501), ("MAIL FROM:<a@example.org> X=1", 555),
            (f"MAIL FROM:<a@example.org> SIZE={LIMIT + 1}", 552), ("MAIL FROM:<ä@example.org>", 553),
            (f"MAIL FROM:<{'a' * 400}>", 501), ("mail from:<a@example.org> size=10 body=8bitmime", 250),
            ("MAIL FROM:<a@example.org>", 503), ("RCPT TO:<>", 501), ("RCPT TO:<b\x1b[m@example.org>", 501),
            ('RCPT TO:<"b> c"@example.org>', 250), ("RSET", 250), ("DATA", 503), ("reset", 500), ("__INIT__", 500),
            ("x" * 20_000, 500), ("NOOP", 250),
        ):  # fmt: skip
            with self.subTest(line[:40]):
                client.send(f"{line}\r\n".encode())
                self.assertEqual(client.getreply()[0], code)
        self.assertEqual(self.list(), [])

    def test_addresses_and_headers_outside_ascii(self):
        content = "From: Jürgen <jürgen@exämple.org>\r\nSubject: Grüße 🎉\r\n\r\nHallo\r\n".encode()
        with smtplib.SMTP(*self.smtp_place, timeout=TIMEOUT) as client:
            client.sendmail("jürgen@exämple.org", ["änn@example.org"], content, ["SMTPUTF8", "BODY=8BITMIME"])
        line = self.process.stdout.readline().rstrip("\n")
        self.assertEqual(line, "mail from jürgen@exämple.org to änn@example.org: Grüße 🎉")
        (entry,) = self.list()
        self.assertEqual((entry["from"], entry["to"]), ("Jürgen <jürgen@exämple.org>", ["änn@example.org"]))
        self.stop()
        self.start()
        self.assertEqual(self.list(), [entry])

    def test_the_line_of_a_message_is_one_line_without_commands_for_a_terminal(self):
        subject = base64.b64encode(b"a\x1b]0;b\x07\r\nmail from c to d: e").decode()
        line = self.send_bytes(f"Subject: =?utf-8?b?{subject}?=\r\n\r\n".encode())
        self.assertEqual(line.count("mail from"), 2)
        self.assertTrue(line.isprintable())

    def test_a_message_that_is_too_big(self):
        client = self.smtp()
        client.ehlo()
        del client.esmtp_features["size"]
        too_big = b"x" * 70 + b"\r\n"
        too_big *= LIMIT // len(too_big) + 1
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            client.sendmail("a@example.org", ["b@example.org"], too_big + b"\r\n.\r\n")
        self.assertEqual(caught.exception.smtp_code, 552)
        client.sendmail("a@example.org", ["b@example.org"], too_big[: LIMIT - 72])
        self.assertEqual(len(self.list()), 1)
        self.assertEqual(len(self.files()), 1)

    def test_browsers_and_babblers_are_left(self):
        connection, file = self.socket(self.smtp_place)
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nEHLO a\r\nMAIL FROM:<a@example.org>\r\n")
        self.assertEqual(file.read().count(b"\r\n"), 1)  # the greeting
        client = self.smtp()
        codes = [client.docmd("BABBLE")[0] for _ in range(11)]
        self.assertEqual(codes, [500] * 11)
        self.assertEqual(client.getreply()[0], 421)

    def test_a_message_without_an_end_is_no_message(self):
        connection, file = self.socket(self.smtp_place)
        connection.sendall(b"EHLO a\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
        connection.sendall(b"Subject: half\r\n")
        while not file.readline().startswith(b"354"):
            pass
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(file.read(), b"")
        self.assertEqual((self.list(), self.files()), ([], []))


class StoreTest(MailboxTest):
    def test_messages_are_there_after_a_kill_and_leftovers_are_not(self):
        self.send(note())
        self.stop(signal.SIGKILL)
        (self.folder / ".new-7").write_bytes(b"half")
        (self.folder / "notes.txt").write_text("somebody's")
        os.symlink("/nowhere", self.folder / "20250101T000000Z-000005.eml")
        self.start()
        self.assertEqual([entry["number"] for entry in self.list()], [1])
        self.assertNotIn(".new-7", self.files())
        self.assertIn("notes.txt", self.files())
        self.send(note(Subject="Second"))
        listed = [(entry["number"], entry["subject"]) for entry in self.list()]
        self.assertEqual(listed, [(6, "Second"), (1, "Your order")])

    def test_five_hundred_are_kept(self):
        self.stop()
        for number in range(1, 511):
            name = self.folder / f"20250101T000000Z-{number:06}.eml"
            name.write_text(f"X-MailFrom: a\r\nX-RcptTo: b\r\nSubject: {number}\r\n\r\n")
        self.start()
        self.assertEqual([entry["number"] for entry in self.list()], list(range(510, 10, -1)))
        self.send(note())
        self.assertEqual([entry["number"] for entry in self.list()], list(range(511, 11, -1)))
        self.assertEqual(len(self.files()), 500)

    def test_a_store_that_fails_is_told_to_both_sides(self):
        self.folder.rename(self.folder.with_name("moved"))
        client = self.smtp()
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            client.send_message(note())
        self.assertEqual(caught.exception.smtp_code, 452)
        line = self.process.stdout.readline()
        self.assertEqual(line, "cannot store a message: No such file or directory\n")
        self.folder.with_name("moved").rename(self.folder)
        client.send_message(note())
        self.assertEqual(len(self.list()), 1)

    def test_a_signal_ends_it_at_once_whoever_is_connected(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            _, file = self.socket(self.smtp_place)
            file.readline()
            self.socket(self.web_place)
            self.assertEqual(self.stop(number), 0)
            self.start()

    def test_several_addresses(self):
        self.stop()
        self.start(smtp="127.0.0.1:0,127.0.0.2:0", web="127.0.0.2:0")
        self.assertEqual(self.web_place[0], "127.0.0.2")
        self.assertEqual([host for host, _ in self.smtp_places], ["127.0.0.1", "127.0.0.2"])
        for where in self.smtp_places:
            self.smtp_place = where
            self.send(note())
        self.assertEqual(len(self.list()), 2)

    def test_what_cannot_be_had_is_said_in_one_line(self):
        taken = "{}:{}".format(*self.smtp_place)
        blocked = self.folder.parent / "file"
        blocked.write_text("")
        for words, line in (
            (command(self.folder, smtp=taken), f"mailbox: cannot listen on {taken}: Address already in use\n"),
            (command(self.folder, web=taken), f"mailbox: cannot listen on {taken}: Address already in use\n"),
            (
                command(self.folder, smtp="192.0.2.1:25"),
                "mailbox: cannot listen on 192.0.2.1:25: Cannot assign requested address\n",
            ),
            (command(blocked), f"mailbox: cannot use the folder {blocked}: File exists\n"),
        ):
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", line))
        for smtp in ("25", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:25,"):
            done = subprocess.run(command(self.folder, smtp=smtp), capture_output=True, check=False, timeout=TIMEOUT)
            self.assertEqual(done.returncode, 2)


class WebTest(MailboxTest):
    def test_what_a_message_says_is_shown_and_nothing_in_it_is_markup(self):
        evil = "<script>alert(1)</script>"
        message = note(Subject=evil, From=f'"{evil}" <shop@example.org>', Reply_To="help@example.org", X_Odd=evil)
        message.set_content(f"{evil} see https://example.org/reset?a=1&b=2.\n")
        message.add_attachment(b"x", maintype="text", subtype="x-odd", filename=f'"{evil}.txt')
        self.send(message, from_addr="shop@example.org")
        for path in ("/", "/1"):
            page = self.page(path)
            self.assertNotIn("<script", page)
            self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", page)
            policy = self.ask(path)[1]["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("script-src", policy)
        self.assertIn('<a href="https://example.org/reset?a=1&amp;b=2" target="_blank"', page)
        self.assertIn("<dt>Reply-To</dt><dd>help@example.org</dd>", page)
        self.assertNotIn("<iframe", page)

    def test_html_is_shown_in_a_frame_in_which_nothing_runs(self):
        message = note()
        html = '<!doctype html><html><head><title>x</title></head><body><img src="cid:logo"><img src="cid:no"></body>'
        message.add_alternative(html, subtype="html")
        picture = base64.b64decode("iVBORw0KGgo=")
        message.get_payload()[1].add_related(picture, maintype="image", subtype="png", cid="<logo>")
        self.send(message)
        page = self.page("/1")
        self.assertIn("Thank you.", page)
        (frame,) = re.findall(r"<iframe[^>]*>", page)
        self.assertIn('src="/1/html"', frame)
        self.assertIn('sandbox="allow-popups allow-popups-to-escape-sandbox"', frame)
        _, headers, content = self.ask("/1/html")
        self.assertIn('<!doctype html><html><head><base target="_blank"><title>', content.decode())
        self.assertIn('src="data:image/png;base64,iVBORw0KGgo="', content.decode())
        self.assertIn('src="cid:no"', content.decode())
        policy = headers["Content-Security-Policy"]
        self.assertIn("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';", policy)
        self.assertNotRegex(policy, "allow-scripts|allow-same-origin|script-src|http:")
        self.assertIn('src="/1/html?pictures"', self.page("/1?pictures"))
        with_pictures = self.ask("/1/html?pictures")[1]["Content-Security-Policy"]
        self.assertIn("img-src data: http: https:;", with_pictures)
        self.assertNotRegex(with_pictures, "allow-scripts|allow-same-origin|script-src")

    def test_attachments_are_only_saved(self):
        message = note()
        names = {"NAME-A": "..%2F..%2Fa%22b%0D%0AX%3A%20y.html", "NAME-B": "Rechnung%20M%C3%A4rz.pdf", "NAME-C": "..."}
        for name in names:
            message.add_attachment(b"<script>\0", maintype="text", subtype="html", filename=name)
        message.add_attachment(note(Subject="Inner"))
        content = message.as_bytes()
        for name, encoded in names.items():
            content = content.replace(f'filename="{name}"'.encode(), f"filename*=utf-8''{encoded}".encode())
        self.send_bytes(content)
        for number, name, encoded in (
            (2, "_.._a_b__X_ y.html", "_.._a_b__X_%20y.html"), (3, "Rechnung M_rz.pdf", "Rechnung%20M%C3%A4rz.pdf"),
            (4, "part", "part"),
        ):  # fmt: skip
            status, headers, content = self.ask(f"/1/parts/{number}")
            self.assertEqual((status, content), (200, b"<script>\0"))
            self.assertEqual(headers["Content-Type"], "application/octet-stream")
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            disposition = f"attachment; filename=\"{name}\"; filename*=UTF-8''{encoded}"
            self.assertEqual(headers["Content-Disposition"], disposition)
        self.assertIn(b"Subject: Inner", self.ask("/1/parts/5")[2])
        for path in ("/1/parts/1", "/1/parts/9", "/1/html", "/2", "/0", "/1/", "/1.emlx", "/../etc/passwd", "/%2e%2e/"):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_the_message_as_it_was_sent(self):
        self.send_bytes(b"Subject: =?utf-8?b?w6Q=?=\r\n\r\n<b>\r\n", recipients=["b@example.org", "c@example.org"])
        _, headers, content = self.ask("/1.eml")
        ours = b"X-MailFrom: shop@example.org\r\nX-RcptTo: b@example.org\r\nX-RcptTo: c@example.org\r\n"
        self.assertEqual(content, ours + b"Subject: =?utf-8?b?w6Q=?=\r\n\r\n<b>\r\n")
        self.assertEqual((headers["Content-Type"], headers.get_filename()), ("message/rfc822", "1.eml"))
        self.assertEqual(self.list()[0]["subject"], "ä")
        status, headers, content = self.ask("/1.eml", "HEAD")
        self.assertEqual((status, int(headers["Content-Length"]) > 0, content), (200, True, b""))

    def test_names_of_other_sites_are_refused(self):
        self.send(note())
        port = self.web_place[1]
        for host in ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "127.70.1.2"):
            self.assertEqual(self.ask("/", Host=host)[0], 200, host)
        evil = ("evil.example", f"localhost.evil.example:{port}", "127.0.0.1.evil.example", "[evil]", "localhost:x", "")
        for host in evil:
            for path in ("/", "/1.eml", "/messages.json"):
                self.assertEqual(self.ask(path, Host=host)[0], 403, host)

    def test_only_its_own_page_removes_all(self):
        self.send(note())
        here = "http://{}:{}".format(*self.web_place)
        for headers in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": here.replace("http", "https")},
            {"Origin": f"{here}0"}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": here, "Sec_Fetch_Site": "same-site"},
            {"Origin": "http://evil.example", "Host": "evil.example"},
        ):  # fmt: skip
            self.assertEqual(self.ask("/delete", "POST", **headers)[0], 403, headers)
        self.assertEqual(self.ask("/delete")[0], 404)
        self.assertEqual(self.ask("/", "POST")[0], 405)
        self.assertEqual(len(self.list()), 1)
        self.assertIn('<form method="post" action="/delete">', self.page("/"))
        status, headers, _ = self.ask("/delete", "POST", Origin=here, Sec_Fetch_Site="same-origin")
        self.assertEqual((status, headers["Location"]), (303, "/"))
        self.assertEqual((self.list(), self.files()), ([], []))
        self.assertIn("No mail yet", self.page("/"))
        self.send(note())
        self.assertEqual(self.ask("/delete", "POST")[0], 303)  # a script
        self.assertEqual(self.list(), [])

    def test_requests_that_are_none(self):
        for request, status in (
            (b"GET /\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
            (b"GET http://localhost/ HTTP/1.1\r\n\r\n", 400), (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nA: " + b"a" * 40_000 + b"\r\n\r\n", 431),
            (b"POST /delete HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
            (b"POST /delete HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ):  # fmt: skip
            connection, file = self.socket(self.web_place)
            connection.sendall(request)
            self.assertEqual(int(file.readline().split()[1]), status, request[:80])

    def test_messages_that_are_made_to_break_it(self):
        deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5000))
        for number, (content, said) in enumerate(
            (
                (deep, "cannot be taken apart"),
                (b"Content-Type: text/plain; charset=no-such\r\n\r\n\xc3\xa4", "ä"),
                (b"Content-Type: text/plain; charset=zip\r\nContent-Transfer-Encoding: base64\r\n\r\n!", "!"),
                (b"Content-Type: multipart/mixed\r\nSubject: a\r\n\r\nno boundary", "part-1"),
                (b"Subject: =?utf-8?b?\xff?= =?no-such?q?a?=\r\n\r\nText", "Text"),
                (b"Subject: " + b"=?a?b?" * 100_000 + b"\r\n\r\nText", "Text"),
                (b"Subject: =?utf-8?b?a?=\r\n\r\nText", "Text"),
                (b"\0" * 1000, "All headers"),
                (b"", "All headers"),
            ),
            1,
        ):
            self.send_bytes(content)
            page = self.page(f"/{number}")
            self.assertIn(said, page, content[:80])
            self.assertIn(content.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r"), self.ask(f"/{number}.eml")[2])
