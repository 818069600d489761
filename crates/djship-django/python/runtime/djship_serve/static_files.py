"""WhiteNoise over the folder that collectstatic filled, for WSGI as it is and for ASGI."""

import asyncio
import re

from whitenoise import WhiteNoise

# A digest in the name (twelve digits from Django's manifest storage, longer ones from front-end tools): such a
# file never changes. One without any letter may be a date, and is not taken for a digest.
HASHED = re.compile(r"[.-](?=\d*[a-f])(?:[0-9a-f]{12}|[0-9a-f]{16,64})\.[^/]+$")
CHUNK = 64 * 1024


def wrap_wsgi(application, root, prefix):
    """The WSGI application with the files of `root` below `prefix` in front of it."""
    return WhiteNoise(application, root=root, prefix=prefix, immutable_file_test=is_hashed)


def is_hashed(path, url):
    return bool(HASHED.search(url))


class StaticFilesASGI:
    """The same for ASGI: WhiteNoise's index of files, read in a thread; everything else goes to the project."""

    def __init__(self, application, root, prefix):
        self.application = application
        self.index = WhiteNoise(None, root=root, prefix=prefix, immutable_file_test=is_hashed)

    async def __call__(self, scope, receive, send):
        found = self.index.files.get(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self.application(scope, receive, send)
            return
        headers = {wsgi_name(name): value.decode("latin-1") for name, value in scope["headers"]}
        response = await asyncio.to_thread(found.get_response, scope["method"], headers)
        await send(
            {
                "type": "http.response.start",
                "status": int(response.status),
                "headers": [(n.lower().encode("latin-1"), str(v).encode("latin-1")) for n, v in response.headers],
            }
        )
        await send_body(response.file, send)


def wsgi_name(name):
    return "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


async def send_body(file, send):
    if file is None:
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        file.close()
