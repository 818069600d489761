//! A project that says much about its image.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use djship_testkit::{TempProject, User};

/// Given to builds alone; nothing that ships may hold it.
pub(crate) const TOKEN: &str = "token-of-the-build-only-5f1c7d";

const MANAGE: &str = r#"#!/usr/bin/env python
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.local")
execute_from_command_line(sys.argv)
"#;

const BASE: &str = r#"
import os
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parents[2]
SECRET_KEY = "a-key-for-the-tests-that-is-long-enough-0123456789-abcdefghij"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["django.contrib.staticfiles", "shop"]
MIDDLEWARE = []
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "collected"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/data/shop.sqlite3"}}
CELERY_BROKER_URL = os.environ.get("BROKER", "amqp://localhost:1//")
CELERY_BEAT_SCHEDULE = {"tick": {"task": "shop.tick", "schedule": 60}}
"#;

const LIVE: &str = r#"
import os
from .base import *
TOKEN = os.environ["BUILD_TOKEN"]
DEBUG = False
"#;

const URLS: &str = r#"
from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path

def home(request):
    return HttpResponse(f'{settings.SETTINGS_MODULE} <link href="{static("shop/site.css")}">')

urlpatterns = [path("", home)]
"#;

const CELERY: &str = r#"
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.local")
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
"#;

const CONFIG: &str = r#"
settings = "shop.settings.live"
requirements = ["deps/live.txt", "deps/tasks.txt"]
include = ["seed/db.sqlite3"]

[packages]
run = ["libssl3"]

[build-env]
BUILD_TOKEN = "token-of-the-build-only-5f1c7d"
"#;

const PROCFILE: &str = "web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers 1\r\nworker: bin/worker.sh\r\n\
                        release: echo first && echo released $DJANGO_SETTINGS_MODULE\r\nclock: echo tick\r\n";

/// The project's files.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("manage.py", MANAGE),
    ("djship.toml", CONFIG),
    ("Procfile", PROCFILE),
    ("Aptfile", "# reads JSON\njq\n"),
    ("deps/live.txt", "Django==5.2.8\ngunicorn==23.0.0\n"),
    ("deps/tasks.txt", "celery==5.5.3\n"),
    ("seed/db.sqlite3", "SQLite format 3"),
    ("shop/__init__.py", ""),
    ("shop/settings/__init__.py", ""),
    ("shop/settings/base.py", BASE),
    ("shop/settings/local.py", "from .base import *\nDEBUG = True\n"),
    ("shop/settings/live.py", LIVE),
    ("shop/urls.py", URLS),
    ("shop/celery.py", CELERY),
    (
        "shop/wsgi.py",
        "import os\nfrom django.core.wsgi import get_wsgi_application\n\
         os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.local')\napplication = get_wsgi_application()\n",
    ),
    ("shop/static/shop/site.css", "body { color: teal }\n"),
];

/// The project of a user, always in the same place: what is installed for it is found again by its folder.
pub(crate) fn in_place_of(user: &User, project: &TempProject, name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("djship-test-projects-{}", user.uid)).join(name);
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    fs_err::create_dir_all(folder.parent().context("a folder lies in a folder")?)?;
    super::copy(project.path(), &folder)?;
    user.own(&folder)?;
    Ok(folder)
}
