"""`djship_serve.asgi:application`: the project's ASGI application, with its static files around it."""

from .project import load_application, read_app, static_prefix

app = read_app()
application = load_application(app, "asgi")

if (app.get("static") or {}).get("whitenoise"):
    from .static_files import StaticFilesASGI

    application = StaticFilesASGI(application, app["static"]["root"], static_prefix(app))
