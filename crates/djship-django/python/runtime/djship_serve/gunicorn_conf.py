"""Gunicorn in a container: nothing is written to disk, everything is logged to the container's output.

Override any of it with GUNICORN_CMD_ARGS. The number of processes is WEB_CONCURRENCY, which Gunicorn reads for
itself. X-Forwarded-* headers are believed from the loopback only; for a proxy elsewhere set
FORWARDED_ALLOW_IPS to its addresses, or to "*" when nothing but the proxy can reach this port. (Django's
SECURE_PROXY_SSL_HEADER does not depend on this.)
"""

import os

_address = os.environ.get("DJSHIP_BIND") or "0.0.0.0"
_port = os.environ.get("PORT") or "8000"
bind = [f"[{_address}]:{_port}" if ":" in _address else f"{_address}:{_port}"]

# Threads, so that a browser's idle connection does not hold a whole process.
worker_class = "gthread"
threads = 2

# A request may take 30 seconds; on SIGTERM running requests get the same time, which is what Kubernetes waits
# before it kills (Docker: 10 seconds, `docker stop -t`).
timeout = 30
graceful_timeout = 28
keepalive = 5

# The heartbeat file: memory, where the root is read-only.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True

accesslog = "-"
errorlog = "-"
