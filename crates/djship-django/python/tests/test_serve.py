"""What stands between the server and the project, in the shape that it has in the image.

Needs Django and WhiteNoise in the interpreter under test; the PostgreSQL lock needs psycopg2 and
DJSHIP_TEST_POSTGRES, the URL of a server that may be written to.
"""

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from synthetic import INTERPRETER, PYTHON_FOLDER, WSGI, has, needs, project_files, write_files

SETTINGS = """
    SECRET_KEY = "x"
    ALLOWED_HOSTS = ["example.org"]
    MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
    SECURE_SSL_REDIRECT = True
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
"""
URLS = """
    from django.http import HttpResponse
    from django.urls import path
    urlpatterns = [path("", lambda request: HttpResponse("hello"))]
"""
# Asks the WSGI application for the paths given, and prints the answers.
ASK_WSGI = """
import io, json, sys
from djship_serve.wsgi import application
for path in sys.argv[2:]:
    seen = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": sys.argv[1], "SERVER_NAME": "s", "SERVER_PORT": "80",
               "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
    body = application(environ, lambda status, headers, exc=None: seen.append((status, dict(headers))))
    print(json.dumps([seen[0][0][:3], seen[0][1], b"".join(body).decode()]))
"""
ASK_ASGI = """
import asyncio, json, sys
from djship_serve.asgi import application
async def ask(method, path, headers=()):
    sent, asked = [], []
    async def receive():
        if asked:
            await asyncio.Event().wait()  # the client stays
        asked.append(True)
        return {"type": "http.request", "body": b""}
    async def send(event): sent.append(event)
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http", "server": ("s", 80),
             "headers": [(b"host", sys.argv[1].encode()), *headers]}
    await application(scope, receive, send)
    body = b"".join(e.get("body", b"") for e in sent[1:])
    print(json.dumps([str(sent[0]["status"]), {k.decode().title(): v.decode() for k, v in sent[0]["headers"]}, body.decode()]))
async def main():
    for word in sys.argv[2:]:
        method, _, path = word.rpartition(":")
        await ask(method or "GET", path)
    await ask("GET", "/assets/site.css", [(b"range", b"bytes=0-3")])
asyncio.run(main())
"""


class ServeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.home, self.app = Path(folder.name, "opt"), Path(folder.name, "app")
        shutil.copytree(PYTHON_FOLDER / "runtime", self.home)
        (self.home / "lib").mkdir()
        (self.home / "djship_serve").rename(self.home / "lib" / "djship_serve")
        files = project_files(SETTINGS, **{"site1/urls.py": URLS})
        files["site1/asgi.py"] = WSGI.format(module="site1.settings").replace("wsgi", "asgi")
        files["site1/settings.py"] = files["site1/settings.py"].replace("static/", "/assets/")
        files["collected/site.css"] = "body {}"
        files["collected/site.0123456789ab.css"] = "body {}"
        files["collected/report-202401011200.css"] = "body {}"
        write_files(self.app, files)
        self.write_app(static={"whitenoise": True, "root": str(self.app / "collected"), "url": "/assets/"})

    def write_app(self, **fields):
        app = {"settings_module": "site1.settings", "configuration": None, "wsgi": "site1.wsgi:application",
               "asgi": "site1.asgi:application", "static": None, "manage": "manage.py", **fields}  # fmt: skip
        (self.home / "app.json").write_text(json.dumps(app))

    def run_python(self, *words, **environment):
        return subprocess.run(
            [INTERPRETER, *map(str, words)], cwd=self.app, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )  # fmt: skip

    def ask(self, code, *words, **environment):
        (self.home / "lib" / "ask.py").write_text(code)
        done = self.run_python(self.home / "launch.py", "ask", *words, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    @needs("django", "whitenoise")
    def test_static_files_around_wsgi(self):
        paths = ["site.css", "site.0123456789ab.css", "report-202401011200.css", "no.css"]
        css, hashed, dated, absent, page = self.ask(ASK_WSGI, "example.org", *(f"/assets/{p}" for p in paths), "/")
        self.assertEqual((css[0], css[2]), ("200", "body {}"))
        self.assertIn("max-age=60", css[1]["Cache-Control"])
        self.assertIn("immutable", hashed[1]["Cache-Control"])
        self.assertNotIn("immutable", dated[1]["Cache-Control"])
        self.assertEqual((absent[0], page[0]), ("301", "301"))  # the project's own: to HTTPS

    @needs("django", "whitenoise")
    def test_static_files_around_asgi(self):
        css, head, post, page, part = self.ask(
            ASK_ASGI,
            "example.org",
            "/assets/site.css",
            "HEAD:/assets/site.css",
            "POST:/assets/site.css",
            "/",
            DJSHIP_TRY="1",
        )
        self.assertEqual((css[0], css[2], css[1]["Content-Type"]), ("200", "body {}", 'text/css; charset="utf-8"'))
        self.assertEqual((head[0], head[2], head[1]["Content-Length"]), ("200", "", "7"))
        self.assertEqual((post[0], page[0], page[2]), ("405", "200", "hello"))
        self.assertEqual((part[0], part[2]), ("206", "body"))

    @needs("django")
    def test_no_static_files_of_ours(self):
        self.write_app()
        (page,) = self.ask(ASK_WSGI, "example.org", "/assets/site.css", DJSHIP_TRY="1")
        self.assertEqual(page[0], "404")

    @needs("django", "whitenoise")
    def test_a_first_look_on_localhost(self):
        self.assertEqual(self.ask(ASK_WSGI, "localhost", "/")[0][0], "400")
        self.assertEqual(self.ask(ASK_WSGI, "localhost", "/", DJSHIP_TRY="1")[0][::2], ["200", "hello"])
        self.assertEqual(self.ask(ASK_WSGI, "evil.org", "/", DJSHIP_TRY="1")[0][0], "400")

    @needs("django", "whitenoise")
    def test_a_project_without_an_application_of_its_own(self):
        self.write_app(wsgi=None)
        self.assertEqual(self.ask(ASK_WSGI, "localhost", "/", DJSHIP_TRY="1")[0][0], "200")

    def leave_out_static_root(self, value="None"):
        self.write_app(static={"whitenoise": False, "root": str(self.app / "collected"), "url": "/assets/"})
        settings = self.app / "site1" / "settings.py"
        manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        settings.write_text(
            settings.read_text()
            + f"STATIC_ROOT = {value}\nMIDDLEWARE.insert(0, 'whitenoise.middleware.WhiteNoiseMiddleware')\n"
            + f"STORAGES = {{'staticfiles': {{'BACKEND': {manifest!r}}}}}\n"
        )
        names = {"version": "1.1", "paths": {"site.css": "site.0123456789ab.css"}, "hash": ""}
        view = """
            from django.conf import settings
            from django.http import HttpResponse
            from django.templatetags.static import static
            from django.urls import path
            def view(request):
                return HttpResponse(static("site.css") + " " + type(settings.STATIC_ROOT).__name__)
            urlpatterns = [path("", view)]
        """
        write_files(self.app, {"collected/staticfiles.json": json.dumps(names), "site1/urls.py": view})

    @needs("django", "whitenoise")
    def test_static_root_that_the_settings_leave_out(self):
        self.leave_out_static_root()
        for code in (ASK_WSGI, ASK_ASGI):
            css, page = self.ask(code, "localhost", "/assets/site.css", "/", DJSHIP_TRY="1")[:2]
            self.assertEqual((css[0], css[2]), ("200", "body {}"))
            self.assertEqual(page[::2], ["200", "/assets/site.0123456789ab.css str"])

    @needs("django", "whitenoise")
    def test_static_root_that_is_another(self):
        self.leave_out_static_root("BASE_DIR / 'elsewhere'")
        css, page = self.ask(ASK_WSGI, "localhost", "/assets/site.css", "/", DJSHIP_TRY="1")
        self.assertEqual((css[0], css[2]), ("200", "body {}"))
        self.assertIn("/assets/site.0123456789ab.css P", page[2])  # still a path

    @needs("django", "whitenoise")
    def test_static_root_without_an_application_of_its_own(self):
        self.leave_out_static_root()
        described = json.loads((self.home / "app.json").read_text())
        self.write_app(wsgi=None, static=described["static"])
        (css,) = self.ask(ASK_WSGI, "localhost", "/assets/site.css", DJSHIP_TRY="1")
        self.assertEqual((css[0], css[2]), ("200", "body {}"))

    @needs("django", "gunicorn")
    def test_the_own_configuration_of_gunicorn(self):
        """Beside manage.py it is found without being named; where to listen is the container's business."""
        configuration = """
            import json
            bind, worker_tmp_dir, threads = "127.0.0.1:1", "/nowhere", 3
            def when_ready(server):
                cfg = server.cfg
                control = getattr(cfg, "control_socket_disable", True)
                print(json.dumps([cfg.threads, cfg.worker_tmp_dir, control, server.LISTENERS[0].sock.getsockname()]), flush=True)
        """
        write_files(self.app, {"gunicorn.conf.py": configuration})
        self.write_app()
        words = [INTERPRETER, self.home / "launch.py", "gunicorn", "djship_serve.wsgi:application"]
        write_files(self.home, {"commands/web": "\n".join(map(str, words))})
        # What `start` finds in the image by its folder.
        if has("gunicorn.ctl"):
            (self.home / "lib" / "gunicorn" / "ctl").mkdir(parents=True)
        server = subprocess.Popen(
            ["/bin/sh", self.home / "start"], cwd=self.app, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/nowhere", "PORT": "0", "DJSHIP_BIND": "127.0.0.1", "WEB_CONCURRENCY": "1", "DJSHIP_TRY": "1"},
        )  # fmt: skip
        try:
            line = server.stdout.readline()
            self.assertTrue(line, "it did not start")
            threads, folder, no_control, (address, port) = json.loads(line)
            self.assertEqual((threads, folder, no_control, address), (3, "/dev/shm", True, "127.0.0.1"))
            connection = http.client.HTTPConnection(address, port, timeout=30)
            connection.request("GET", "/", headers={"Host": "localhost"})
            self.assertEqual(connection.getresponse().read(), b"hello")
            connection.close()
        finally:
            server.terminate()
            out, error = server.communicate()
        self.assertEqual(server.returncode, 0, error)

    def test_a_gunicorn_that_is_no_program_yet(self):
        files = {
            "gunicorn/__init__.py": "",
            "gunicorn/app/__init__.py": "",
            "gunicorn/app/wsgiapp.py": "print(__name__)",
        }
        write_files(self.app, files)
        self.assertEqual(self.run_python(self.home / "launch.py", "gunicorn").stdout, "__main__\n")

    def test_the_project_wins_over_what_is_supplied(self):
        write_files(self.home / "lib", {"shadow.py": "print('supplied')", "only.py": "print('supplied')"})
        write_files(self.app, {"shadow.py": "print('own')"})
        self.assertEqual(self.run_python(self.home / "launch.py", "shadow").stdout, "own\n")
        self.assertEqual(self.run_python(self.home / "launch.py", "only").stdout, "supplied\n")

    @needs("django")
    def test_migrate(self):
        done = self.run_python(self.home / "migrate.py", "--verbosity=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Applying auth.0001_initial... OK", done.stdout)
        self.assertIn("No migrations to apply", self.run_python(self.home / "migrate.py").stdout)

    @needs("django", "psycopg2")
    @unittest.skipUnless(os.environ.get("DJSHIP_TEST_POSTGRES"), "DJSHIP_TEST_POSTGRES names no server")
    def test_migrate_waits_for_another(self):
        url = os.environ["DJSHIP_TEST_POSTGRES"]
        settings = self.app / "site1" / "settings.py"
        settings.write_text(
            settings.read_text()
            + f"import dj_database_url\nDATABASES = {{'default': dj_database_url.parse({url!r})}}\n"
        )
        hold = (
            "import sys, psycopg2; sys.path.insert(0, sys.argv[1]); import migrate;"
            "c = psycopg2.connect(sys.argv[2]).cursor(); c.execute('SELECT pg_advisory_lock(%s)', [migrate.KEY]);"
            "print('held', flush=True); sys.stdin.read()"
        )
        environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
        holder = subprocess.Popen(
            [INTERPRETER, "-c", hold, str(self.home), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.assertEqual(holder.stdout.readline(), b"held\n")
        waiter = subprocess.Popen(
            [INTERPRETER, str(self.home / "migrate.py")], cwd=self.app, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.assertIn("waiting for it", waiter.stderr.readline())
        # What a migration of the other container may do meanwhile: this waits for every older snapshot to end.
        concurrently = (
            "import sys, psycopg2; c = psycopg2.connect(sys.argv[1], options='-c statement_timeout=20s');"
            "c.autocommit = True; c = c.cursor(); c.execute('CREATE TABLE IF NOT EXISTS djship_test (n int)');"
            "c.execute('CREATE INDEX CONCURRENTLY ON djship_test (n)'); c.execute('DROP TABLE djship_test')"
        )
        done = subprocess.run([INTERPRETER, "-c", concurrently, url], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNone(waiter.poll())
        holder.communicate()  # lets the lock go with its connection
        out, error = waiter.communicate()
        self.assertEqual(waiter.returncode, 0, error)
        self.assertNotIn("waiting for it", error)  # said once
        self.assertIn("migrat", out)


class HealthcheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        shutil.copy(PYTHON_FOLDER / "runtime" / "healthcheck.py", self.home)
        seen = self.seen = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.update(self.headers)
                self.send_response(int(self.path[1:] or 200))
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def check(self, path="/", app=None, **environment):
        (self.home / "app.json").write_text(json.dumps({"health_path": path, **(app or {})}))
        port = {"PORT": str(self.server.server_port)}
        return subprocess.run(
            [INTERPRETER, str(self.home / "healthcheck.py")],
            env={**port, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_below_500_is_healthy(self):
        for status in (200, 301, 404, 499):
            self.assertEqual(self.check(f"/{status}").returncode, 0, status)
        for status in (500, 503):
            done = self.check(f"/{status}")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"status {status}", done.stderr)

    def test_the_host_is_one_that_is_allowed(self):
        cases = [
            ({}, {}, "localhost"),
            ({"allowed_hosts": ["*"]}, {}, "localhost"),
            ({"allowed_hosts": [".example.org"]}, {}, "example.org"),
            ({"allowed_hosts": ["a.org"], "allowed_hosts_env": "HOSTS"}, {}, "a.org"),
            ({"allowed_hosts": ["a.org"], "allowed_hosts_env": "HOSTS"}, {"HOSTS": "*.b.org, c.org"}, "c.org"),
        ]
        for app, environment, host in cases:
            self.assertEqual(self.check(app=app, **environment).returncode, 0)
            self.assertEqual((self.seen["Host"], self.seen["X-Forwarded-Proto"]), (host, "https"))

    def test_nobody_listens(self):
        done = self.check(PORT="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer on port 1", done.stderr)


if __name__ == "__main__":
    unittest.main()
