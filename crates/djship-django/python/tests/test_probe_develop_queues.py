"""Redis, RabbitMQ, memcached and mail in development, and Celery itself. The libraries are fakes."""

from synthetic import ADDRESS, PASSWORD, ProbeTest, needs, project_files

PLAIN_DEBUG = "DEBUG = True\nSECRET_KEY = 'x'\n"
REDIS, AMQP = f"redis://{ADDRESS}:6379", f"amqp://keeper:{PASSWORD}@{ADDRESS}:5672"
CELERY_PY = """
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
app = Celery("site1")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
CELERY_FILES = {"site1/celery.py": CELERY_PY, "site1/__init__.py": "from .celery import app as celery_app\n"}


@needs("django")
class QueueTest(ProbeTest):
    def develop_settings(self, settings, fakes=("redis",), more=None, **given):
        return self.develop(project_files(PLAIN_DEBUG + settings, **(more or {})), fakes=fakes, **given)

    def assert_service(self, facts, **expected):
        service = self.only_service(facts)
        self.assertEqual({k: service[k] for k in expected}, expected)
        self.assertEqual(facts["errors"], [])


class RedisTest(QueueTest):
    def test_a_cache_by_a_variable_keeps_its_number(self):
        facts = self.develop_settings("""
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                      "LOCATION": os.environ.get("CACHE_AT", "redis://redis:6379/3")}}
""")
        self.assert_service(facts, kind="redis", host=ADDRESS, port=6379, lasting=False, uses=["CACHES['default']"])
        self.assertEqual(facts["connections"], {"CACHE_AT": {"value": f"{REDIS}/3", "service": "redis", "part": "url"}})

    def test_a_list_of_places(self):
        facts = self.develop_settings("""
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": ["redis://one:6379", "redis://one:6379/1"]}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
""")
        self.assert_service(facts, host="one", hard_coded=True, lasting=True)

    def test_host_and_port(self):
        facts = self.develop_settings("""
REDIS_HOST = os.environ.get("REDIS_HOST", "localhost")
REDIS_PORT = int(os.environ.get("REDIS_PORT", 6380))
""")
        self.assert_service(facts, host=ADDRESS, port=6379, uses=["REDIS_HOST"])
        self.assertEqual(self.values_of(facts), {"REDIS_HOST": ADDRESS, "REDIS_PORT": "6379"})

    def test_channel_layers(self):
        for hosts in ('[(os.environ.get("REDIS_HOST", "redis"), 6379)]', '["redis://redis:6379/1"]',
                      '[{"host": "redis", "port": 6379}]', '[{"address": "redis://redis:6379"}]'):  # fmt: skip
            facts = self.develop_settings(
                f"""
CHANNEL_LAYERS = {{"default": {{"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {{"hosts": {hosts}}}}}}}
""",
                fakes=("channels_redis",),
            )
            by_variable = "environ" in hosts
            self.assert_service(
                facts, kind="redis", host=ADDRESS if by_variable else "redis", hard_coded=not by_variable,
                lasting=False, uses=["CHANNEL_LAYERS['default']"],
            )  # fmt: skip

    def test_without_the_library_an_address_is_only_text(self):
        facts = self.develop_settings('REDIS_URL = "redis://localhost:6379"', fakes=())
        self.assertEqual((facts["services"], facts["external"]), ([], []))

    def test_addresses_in_settings_of_any_depth(self):
        facts = self.develop_settings("""
RQ_QUEUES = {"default": {"HOST": "redis", "PORT": 6379, "DB": 0}}
MINE = {"places": ["https://example.com", ("redis://:word@redis/2",)]}
""")
        self.assert_service(facts, host="redis", password="word", lasting=True, user=None,
                            uses=["RQ_QUEUES['default']", "MINE['places']"])  # fmt: skip

    def test_elsewhere(self):
        facts = self.develop_settings(
            """
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["CACHE_URL"]}}
""",
            CACHE_URL="rediss://:secret-word@cache.example.com:6390",
        )
        self.assertEqual(facts["services"], [])
        self.assertEqual(
            facts["external"],
            [{"kind": "redis", "host": "cache.example.com", "port": 6390, "uses": ["CACHES['default']"]}],
        )
        self.assertNotIn("secret-word", self.text)

    def test_a_client_made_at_import_shows_in_no_setting(self):
        facts = self.develop_settings("_client = os.environ.get('REDIS_URL', 'redis://localhost:6379/0')")
        self.assert_service(facts, host=ADDRESS, uses=["REDIS_URL"])
        self.assertEqual(self.values_of(facts), {"REDIS_URL": f"{REDIS}/0"})

    def test_required(self):
        facts = self.develop_settings("""
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
""")
        self.assert_service(facts, host=ADDRESS, hard_coded=False)
        self.assertEqual((self.values_of(facts), facts["supplied"]), ({"REDIS_URL": f"{REDIS}/0"}, []))


class CeleryTest(QueueTest):
    def test_a_redis_broker_by_a_variable(self):
        facts = self.develop_settings(
            'CELERY_BROKER_URL = CELERY_RESULT_BACKEND = os.environ.get("REDIS_URL", "redis://redis:6379/0")\n'
            + 'CELERY_BEAT_SCHEDULE = {"often": {"task": "x", "schedule": 10}}',
            fakes=("celery", "redis", "kombu"),
            more=CELERY_FILES,
        )
        self.assertEqual(facts["celery"], {"app": "site1", "worker": True, "beat": True})
        self.assert_service(facts, kind="redis", host=ADDRESS, lasting=True,
                            uses=["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"])  # fmt: skip
        self.assertEqual(self.values_of(facts), {"REDIS_URL": f"{REDIS}/0"})

    def test_a_fixed_broker_is_led_by_celerys_own_variable(self):
        facts = self.develop_settings(
            'CELERY_BROKER_URL = "redis://localhost:6379/4"', fakes=("celery", "redis", "kombu"), more=CELERY_FILES
        )
        self.assertEqual(facts["celery"], {"app": "site1", "worker": True, "beat": False})
        self.assert_service(facts, host=ADDRESS, hard_coded=False)
        self.assertEqual(self.values_of(facts), {"CELERY_BROKER_URL": f"{REDIS}/4"})

    def test_a_broker_that_is_given_is_left_alone(self):
        facts = self.develop_settings(
            """
CELERY_BROKER_URL = os.environ.get("REDIS_URL")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CELERY_BROKER_URL}}
""",
            fakes=("celery", "redis", "kombu"),
            more=CELERY_FILES,
            REDIS_URL="redis://localhost:6379/1",
        )
        self.assert_service(facts, host="localhost", hard_coded=True, lasting=True)
        self.assertEqual(facts["connections"], {})

    def test_a_broker_that_only_the_application_knows(self):
        facts = self.develop_settings(
            "",
            fakes=("celery", "redis", "kombu"),
            more={
                "site1/queue.py": """
                    import os
                    from celery import Celery
                    worker = Celery("site1.queue", broker=os.environ.get("QUEUE_AT", "redis://redis"))
                """
            },
        )
        self.assertEqual(facts["celery"], {"app": "site1.queue:worker", "worker": True, "beat": False})
        self.assert_service(facts, kind="redis", host=ADDRESS, lasting=True, uses=["Celery's broker_url"])
        self.assertEqual(self.values_of(facts), {"QUEUE_AT": f"{REDIS}"})

    def test_celerys_own_default(self):
        facts = self.develop_settings("", fakes=("celery", "kombu"), more=CELERY_FILES)
        self.assert_service(facts, kind="amqp", host=ADDRESS, port=5672, user="guest", virtual_host="/", lasting=True)
        self.assertEqual(list(facts["connections"]), ["CELERY_BROKER_URL"])

    def test_a_broker_that_is_unset_is_redis_where_it_can_be(self):
        settings = 'CELERY_BROKER_URL = os.environ.get("QUEUE_URL")'
        for fakes, kind in ((("celery", "kombu", "redis"), "redis"), (("celery", "kombu"), "amqp")):
            facts = self.develop_settings(settings, fakes=fakes, more=CELERY_FILES)
            self.assert_service(facts, kind=kind, host=ADDRESS, hard_coded=False)
            self.assertEqual(list(facts["connections"]), ["QUEUE_URL"])

    def test_without_an_application_there_is_no_default(self):
        facts = self.develop_settings("", fakes=("celery", "kombu"))
        self.assertEqual((facts["celery"], facts["services"]), (None, []))

    def test_tasks_that_run_at_once_need_nothing(self):
        for settings in (
            "CELERY_TASK_ALWAYS_EAGER = True\nCELERY_BROKER_URL = 'redis://redis'",
            "CELERY_BROKER_URL = 'memory://'",
        ):
            facts = self.develop_settings(settings, fakes=("celery", "redis", "kombu"), more=CELERY_FILES)
            self.assertEqual(facts["services"], [])
            self.assertEqual(facts["celery"], {"app": "site1", "worker": False, "beat": False})

    def test_an_application_that_cannot_be_imported(self):
        facts = self.develop_settings(
            "", fakes=("celery", "kombu"), more={"site1/celery.py": CELERY_PY + "raise ValueError('no tasks today')\n"}
        )
        self.assertEqual((facts["celery"], facts["services"], facts["errors"]), (None, [], []))
        self.assertIn("no tasks today", facts["warnings"][0]["message"])
        self.assertEqual(facts["warnings"][0]["file"], "site1/celery.py")

    def test_rabbitmq(self):
        facts = self.develop_settings(
            'CELERY_BROKER_URL = os.environ.get("RABBIT_URL", "amqp://me:mine@rabbit:5672/things")',
            fakes=("celery", "kombu"),
            more=CELERY_FILES,
        )
        self.assert_service(facts, kind="amqp", host=ADDRESS, user="me", password="mine", virtual_host="things")
        facts = self.develop_settings(
            'BROKER_AT = os.environ["RABBITMQ_URL"]', fakes=("celery", "kombu"), more=CELERY_FILES
        )
        self.assertEqual(facts["connections"]["RABBITMQ_URL"]["value"], f"{AMQP}//")


class OthersTest(QueueTest):
    def test_a_cache_in_memory_or_in_files_is_no_service(self):
        for settings in (
            "",
            'CACHES = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/x"}}',
        ):
            facts = self.develop_settings(settings, fakes=("pymemcache", "redis"))
            self.assertEqual((facts["services"], facts["external"]), ([], []))

    def test_memcached(self):
        settings = """
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": {location}}}}}
"""
        facts = self.develop_settings(settings.format(location='"127.0.0.1:11211"'), fakes=("pymemcache",))
        self.assert_service(facts, kind="memcached", host="127.0.0.1", port=11211, hard_coded=True, lasting=False)
        location = 'os.environ.get("MEMCACHED", "memcached:11211")'
        facts = self.develop_settings(settings.format(location=location), fakes=("pymemcache",))
        self.assert_service(facts, host=ADDRESS, hard_coded=False)
        self.assertEqual(self.values_of(facts), {"MEMCACHED": f"{ADDRESS}:11211"})

    def test_mail(self):
        facts = self.develop_settings("""
EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", 25))
EMAIL_USE_TLS = os.environ.get("EMAIL_USE_TLS", "True") == "True"
""")
        self.assert_service(facts, kind="smtp", host=ADDRESS, port=1025, lasting=False, uses=["EMAIL_HOST"])
        self.assertEqual(self.values_of(facts), {"EMAIL_HOST": ADDRESS, "EMAIL_PORT": "1025", "EMAIL_USE_TLS": "False"})
        self.assertEqual(facts["warnings"], [])

    def test_mail_of_a_fixed_host(self):
        facts = self.develop_settings('EMAIL_HOST = "mail"\nEMAIL_PORT = 1025')
        self.assert_service(facts, kind="smtp", host="mail", port=1025, hard_coded=True)
        facts = self.develop_settings('EMAIL_HOST = "smtp.example.com"\nEMAIL_USE_TLS = True')
        self.assertEqual((facts["services"], facts["external"][0]["host"]), ([], "smtp.example.com"))
        self.assertEqual(facts["warnings"], [])

    def test_mail_that_nobody_set_up_or_that_is_printed(self):
        for settings in (
            "",
            'EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"\nEMAIL_HOST = "mail"',
            'WELCOME_MAIL = os.environ.get("WELCOME_EMAIL_HOST", "x")',
        ):
            facts = self.develop_settings(settings)
            self.assertEqual((facts["services"], facts["connections"]), ([], {}))

    def test_whose_development_server(self):
        facts = self.develop_settings(
            'INSTALLED_APPS = ["daphne", *INSTALLED_APPS]\nASGI_APPLICATION = "site1.asgi.application"',
            more={"daphne/__init__.py": ""},
        )
        self.assertEqual((facts["runserver"], facts["asgi"]), ("daphne", "site1.asgi:application"))
