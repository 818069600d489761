"""`djship_serve.wsgi:application`: the project's WSGI application, with its static files around it."""

from .project import load_application, read_app, static_prefix

app = read_app()
application = load_application(app, "wsgi")

if (app.get("static") or {}).get("whitenoise"):
    from .static_files import wrap_wsgi

    application = wrap_wsgi(application, app["static"]["root"], static_prefix(app))
