"""What an WSGI server loads: `pollsite.wsgi:application`."""

import os

production = os.environ.get("ENVIRONMENT") == "PRODUCTION"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pollsite.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Production" if production else "Dev")

from configurations.wsgi import get_wsgi_application

application = get_wsgi_application()
