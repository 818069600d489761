"""Is the web server well? Exit code 0: yes, 1: no, with the reason on standard error.

One request is made to the server in this container, as a proxy that speaks HTTPS would make it, with a host
that the project allows. Any answer below 500 is healthy: a redirection or a login page is a server that works.
"""

import http.client
import json
import os
import re
import sys

TIMEOUT = 3  # seconds


def first_host(hosts):
    """The first host of ALLOWED_HOSTS that can be put into a request (`.example.org` allows example.org too)."""
    for host in hosts:
        host = host.strip().strip("\"'[]").lstrip(".")
        if host and "*" not in host:
            return host
    return "localhost"


def allowed_host(app):
    name = app.get("allowed_hosts_env")
    value = os.environ.get(name, "") if name else ""
    return first_host(re.split(r"[,\s;]+", value) if value.strip() else app.get("allowed_hosts") or [])


def own_address():
    """The server is asked where it listens; "everywhere" is asked on the loopback."""
    address = os.environ.get("DJSHIP_BIND", "")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def main():
    home = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(home, "app.json"), encoding="utf-8") as file:
        app = json.load(file)
    port = os.environ.get("PORT") or "8000"
    path = os.environ.get("DJSHIP_HEALTH_PATH") or app.get("health_path") or "/"
    headers = {"Host": allowed_host(app), "X-Forwarded-Proto": "https", "User-Agent": "djship-healthcheck"}
    try:
        connection = http.client.HTTPConnection(own_address(), int(port), timeout=TIMEOUT)
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"no answer on port {port}: {error}"
    return f"status {status} for {path}" if status >= 500 else None


if __name__ == "__main__":
    problem = main()
    if problem:
        sys.exit(f"djship: unhealthy: {problem}")
