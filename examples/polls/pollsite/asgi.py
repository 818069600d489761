"""What an ASGI server loads: `pollsite.asgi:application`."""

import os

production = os.environ.get("ENVIRONMENT") == "PRODUCTION"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pollsite.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Production" if production else "Dev")

from configurations.asgi import get_asgi_application

application = get_asgi_application()
