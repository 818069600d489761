//! The projects that are built: the same small site twice, once with a requirement that must be compiled.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One of the projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Project {
    /// psycopg2 has no wheel for Linux: a compiler and headers are needed.
    Compiled,
    /// Everything that it requires comes as a wheel.
    WheelsOnly,
}

impl Project {
    pub(super) const ALL: [Self; 2] = [Self::Compiled, Self::WheelsOnly];

    /// The name of its folder, and part of the name of its images.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Compiled => "shop",
            Self::WheelsOnly => "kiosk",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Self::Compiled => "psycopg2==2.9.13",
            Self::WheelsOnly => "psycopg==3.3.9\npsycopg-binary==3.3.9",
        }
    }
}

/// A folder that holds a project, and what was edited in it.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) folder: PathBuf,
    /// Of the last edit. It starts at the current time, so that no cache of an earlier run has seen the content.
    revision: u128,
}

/// A line of this form stands in each file that is edited.
const REVISION: &str = "REVISION = 0";

impl Checkout {
    /// Writes the project into a new folder below `place`.
    pub(super) fn write(project: Project, place: &Path) -> Result<Self> {
        let folder = place.join(project.name());
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        let requirements = format!("{REQUIREMENTS}{}\n", project.driver());
        let all = FILES.iter().copied().chain([("requirements.txt", requirements.as_str())]);
        for (path, text) in all {
            let file = folder.join(path);
            fs_err::create_dir_all(file.parent().context("a file lies in a folder")?)?;
            fs_err::write(file, text)?;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(Self { folder, revision: now.as_nanos() })
    }

    /// With a Dockerfile.
    pub(super) fn with_dockerfile(self) -> Result<Self> {
        fs_err::write(self.folder.join("Dockerfile"), DOCKERFILE)?;
        fs_err::write(self.folder.join(".dockerignore"), "Dockerfile\n.dockerignore\n")?;
        Ok(self)
    }

    /// Takes the bases of the Dockerfile from a registry, whose names begin with this.
    pub(super) fn take_bases_from(&self, registry: &str) -> Result<()> {
        let text = DOCKERFILE.replace("FROM bench-", &format!("FROM {registry}bench-"));
        fs_err::write(self.folder.join("Dockerfile"), text)?;
        Ok(())
    }

    /// Changes one line of a file to what it has never been before.
    pub(super) fn edit(&mut self, path: &str) -> Result<()> {
        self.revision += 1;
        let original = FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
        let original = original.with_context(|| format!("the bench project has no file {path}"))?;
        let edited = original.replace(REVISION, &format!("REVISION = {}", self.revision));
        fs_err::write(self.folder.join(path), edited)?;
        Ok(())
    }
}

/// The file of a code change that concerns requests only.
pub(super) const VIEW: &str = "catalog/views.py";

/// The file of a code change after which Django is asked again, and checks itself.
pub(super) const SETTINGS: &str = "site_of_shop/settings.py";

/// Every version is fixed: what is measured today is measured next year.
const REQUIREMENTS: &str = "\
Django==5.2.19
asgiref==3.13.0
sqlparse==0.6.1
Pillow==13.0.0
gunicorn==27.0.1
packaging==26.3
whitenoise==6.12.0
";

/// As the documentation of Docker and of Django have it: compile in one stage, ship from another.
///
/// The order is the one that rebuilds the least after a code change, and nothing is installed in it that a base has already.
const DOCKERFILE: &str = r#"FROM bench-builder AS builder
RUN python3 -m venv /venv
ARG PIP_INDEX_URL
COPY requirements.txt /requirements.txt
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /requirements.txt

FROM bench-runtime
ENV PATH=/venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=builder /venv /venv
COPY . /app
RUN DJANGO_SECRET_KEY=build-only python manage.py collectstatic --noinput
USER 1000:1000
EXPOSE 8000
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "site_of_shop.wsgi"]
"#;

const FILES: [(&str, &str); 12] = [
    ("manage.py", MANAGE),
    ("site_of_shop/__init__.py", ""),
    (SETTINGS, SETTINGS_TEXT),
    ("site_of_shop/urls.py", URLS),
    ("site_of_shop/wsgi.py", WSGI),
    ("catalog/__init__.py", ""),
    ("catalog/models.py", MODELS),
    ("catalog/admin.py", ADMIN),
    (VIEW, VIEWS),
    ("catalog/migrations/__init__.py", ""),
    ("catalog/templates/catalog/list.html", TEMPLATE),
    ("catalog/static/catalog/site.css", "body { font-family: sans-serif; margin: 2rem; }\n"),
];

const MANAGE: &str = r#"#!/usr/bin/env python3
import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_shop.settings")
    execute_from_command_line(sys.argv)
"#;

const SETTINGS_TEXT: &str = r#"import os
from pathlib import Path

REVISION = 0

PROJECT = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "catalog",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "site_of_shop.urls"
WSGI_APPLICATION = "site_of_shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("POSTGRES_DB", "shop"),
        "USER": os.environ.get("POSTGRES_USER", "shop"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
        "HOST": os.environ.get("POSTGRES_HOST", "db"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = PROJECT / "collected"
"#;

const URLS: &str = r#"from django.contrib import admin
from django.urls import path

from catalog.views import products

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", products),
]
"#;

const WSGI: &str = r#"import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_shop.settings")
application = get_wsgi_application()
"#;

const MODELS: &str = r#"from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=100)
    picture = models.ImageField(upload_to="pictures", blank=True)

    def __str__(self):
        return self.name
"#;

const ADMIN: &str = r"from django.contrib import admin

from catalog.models import Product

admin.site.register(Product)
";

const VIEWS: &str = r#"from django.shortcuts import render

from catalog.models import Product

REVISION = 0


def products(request):
    return render(request, "catalog/list.html", {"products": Product.objects.all(), "revision": REVISION})
"#;

const TEMPLATE: &str = r#"{% load static %}<!doctype html>
<title>Shop</title>
<link rel="stylesheet" href="{% static 'catalog/site.css' %}">
<ul>{% for product in products %}<li>{{ product }}</li>{% endfor %}</ul>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_gives_a_content_that_was_never_there() {
        let place = std::env::temp_dir().join(format!("djship-bench-project-{}", std::process::id()));
        let mut checkout = Checkout::write(Project::Compiled, &place).unwrap();
        for path in [VIEW, SETTINGS] {
            let read = |checkout: &Checkout| fs_err::read_to_string(checkout.folder.join(path)).unwrap();
            let original = read(&checkout);
            checkout.edit(path).unwrap();
            let first = read(&checkout);
            checkout.edit(path).unwrap();
            let second = read(&checkout);
            assert!(original != first && first != second && second != original, "{path}");
            assert_eq!(original.lines().count(), second.lines().count());
        }
        assert!(checkout.edit("README").is_err());
        let requirements = fs_err::read_to_string(checkout.folder.join("requirements.txt")).unwrap();
        assert!(requirements.ends_with("psycopg2==2.9.13\n"), "{requirements}");
        fs_err::remove_dir_all(place).unwrap();
    }
}
