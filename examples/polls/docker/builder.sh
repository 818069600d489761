#!/bin/bash
# Makes what ships: a Dockerfile and the files that it adds, from the project in /source. It runs in the image of docker/Dockerfile-dev,
# which has the compiler; what ships has none.
#
#   docker run --rm --volume $PWD:/source --volume $HOME/cache:/cache --volume $HOME/output:/output webdev /source/docker/builder.sh
#   docker build --tag myapp - < $HOME/output/docker-build-context.tar.gz
set -euo pipefail
umask 022
export PIP_CACHE_DIR=/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1

# The project, without what must not ship. Keep this list in step with .dockerignore.
left_out=(
    ./.dockerignore
    ./docker
    ./docker-compose.yml
    ./docker-build-context.tar.gz
    ./.git
    .env
    '.env.*'
    .cache
    .venv
    ./venv
    __pycache__
    '*.pyc'
    .mypy_cache
    .pytest_cache
    .ruff_cache
    db.sqlite3
    '*.key'
    id_ed25519
    id_rsa
    ./staticfiles
    '*.sqlite3'
)
tar --create --directory=/source "${left_out[@]/#/--exclude=}" . | tar --extract --directory=/app --no-same-permissions
cd /app

# The requirements of production, in /venv: installed here, compiled where there is no wheel, and copied as they are.
/usr/bin/python3 -m venv --without-pip /venv
(cd /app && /usr/bin/python3 -m pip --python /venv/bin/python install --quiet --requirement requirements/production.txt)
# What serves the application. The project's own requirements do not have it.
/usr/bin/python3 -m pip --python /venv/bin/python install --quiet 'gunicorn==27.0.1' 'whitenoise==6.12.0'

# Nothing in the settings serves static files in production, so WhiteNoise does, around the application.
cat > with_static_files.py <<'END'
from whitenoise import WhiteNoise

from pollsite.wsgi import application as site

application = WhiteNoise(site, root="/app/staticfiles", prefix="static")
END

# Static files. The values are for this step alone, and nobody's.
(
    export DJANGO_SETTINGS_MODULE=pollsite.settings
    export DJANGO_CONFIGURATION=Production
    export ENVIRONMENT=PRODUCTION
    export DJANGO_SECRET_KEY=not-a-key-only-for-the-step-that-collects-static-files-0123456789
    export POSTGRES_PASSWORD=not-a-key-only-for-the-step-that-collects-static-files-0123456789
    export POSTGRES_USER=nothing
    /venv/bin/python manage.py collectstatic --noinput
)

# Bytecode that holds however the files' times come out, and nothing that belongs to the build alone.
find /app /venv -name __pycache__ -prune -exec rm -rf {} +
/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app /venv \
    || echo "The files above are no Python of this version; they ship as they are."

# The context: the files as root's, readable by everybody, and the Dockerfile that adds them.
context=$(mktemp --directory)
trap 'rm -rf "$context"' EXIT
plain=(--sort=name --owner=0 --group=0 --numeric-owner --mtime='2000-01-01 00:00Z' '--mode=u=rwX,go=rX')
tar --create --directory=/ "${plain[@]}" --file="$context/files.tar" app venv
cp /source/docker/Dockerfile-prod "$context/Dockerfile"
tar --create --gzip --directory="$context" "${plain[@]}" --file=/output/docker-build-context.tar.gz.new Dockerfile files.tar
mv /output/docker-build-context.tar.gz.new /output/docker-build-context.tar.gz
echo "docker build --tag myapp - < docker-build-context.tar.gz"
