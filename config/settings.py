"""Django's settings, all from the environment. `.env.example` lists every variable with its default."""

import os
import sys

from corsheaders.defaults import default_headers
from django.templatetags.static import static
from marshmallow.validate import Range, Regexp

from batches import queues, task_broker
from batches.topics import check_status, status_filters
from bridge.address import MqttAddress
from bridge.tls import TlsFiles
from monitoring import __version__
from process import address
from process.environment import PROJECT, Environment, SettingsError, data_dir, forget_libpq, gather

BASE_DIR = PROJECT

try:
    given = gather(os.environ)
except SettingsError as error:
    sys.exit(str(error))
forget_libpq()
env = Environment(given)

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
# Whose pages in a browser may ask the API, and read what it answers.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", [])
DATA_DIR = data_dir(given)
env.str("DATABASE_URL", validate=address.postgres)
# A thread of web keeps its connection (config/handler.py), and looks whether it lives before using it again.
DATABASES = {
    "default": env.dj_db_url(
        "DATABASE_URL", engine="config.postgresql", conn_max_age=600, conn_health_checks=True
    )
}
REDIS_URL = env.str("REDIS_URL", validate=address.redis)
LANGUAGE_CODE = env.language()
LOG_LEVEL = env.log_level()
# Of pages and logs. What is stored, what the API says and what beat goes by is UTC.
TIME_ZONE = env.time_zone()

WEB_THREADS = env.int("WEB_THREADS", 8, validate=Range(1, 1000))
_rate = Regexp(r"^(off|[1-9]\d{0,8}/(second|minute|hour|day))$", error="not a rate: 10/minute, or off")
_token = Regexp(r"^[!-~]{16,200}$", error="must be 16 to 200 letters, digits or punctuation, without a blank")
THROTTLE_LOGIN = env.str("THROTTLE_LOGIN", "10/minute", validate=_rate)
THROTTLE_TOKENS = env.str("THROTTLE_TOKENS", "60/hour", validate=_rate)
THROTTLE_POST = env.str("THROTTLE_POST", "12000/minute", validate=_rate)
WEB_MAX_CONNECTIONS = env.int("WEB_MAX_CONNECTIONS", 512, validate=Range(min=8))
# Viewers who hold a stream open, beside those connections; each process.
LIVE_MAX_STREAMS = env.int("LIVE_MAX_STREAMS", 1000, validate=Range(min=0))
# Addresses and networks whose X-Forwarded-For is believed.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", [])
# Behind a proxy that ends TLS and sets X-Forwarded-Proto; https:// is then the only way in.
HTTPS = env.bool("HTTPS", False)
# Who shows it may read /metrics.
METRICS_TOKEN = env.str("METRICS_TOKEN", None, validate=_token)

# --- what the project is about -------------------------------------------------------------------
API_PUBLIC_READ = env.bool("API_PUBLIC_READ", False)
AUTO_REGISTER_SENSORS = env.bool("AUTO_REGISTER_SENSORS", False)
AUTO_REGISTER_MAX_SENSORS = env.int("AUTO_REGISTER_MAX_SENSORS", 10_000, validate=Range(min=0))
BATCHES_MAX_BYTES = env.int("BATCHES_MAX_BYTES", 256 * 2**20, validate=Range(min=2**20))
BATCH_LEASE_SECONDS = env.float("BATCH_LEASE_SECONDS", 30.0, validate=Range(min=0.1))
_days = Range(2, 36_500)
RETENTION_DAYS = env.int("RETENTION_DAYS", 730, validate=_days)
PARTITION_WIDTH = env.one_of("PARTITION_WIDTH", "month", ("day", "week", "month"))
ROLLUP_MINUTE_RETENTION_DAYS = env.int("ROLLUP_MINUTE_RETENTION_DAYS", RETENTION_DAYS, validate=_days)
ROLLUP_HOUR_RETENTION_DAYS = env.int("ROLLUP_HOUR_RETENTION_DAYS", 3650, validate=_days)
# 0: for ever.
ROLLUP_DAY_RETENTION_DAYS = env.int("ROLLUP_DAY_RETENTION_DAYS", 0, validate=Range(0, 36_500))
REJECTED_RETENTION_DAYS = env.int("REJECTED_RETENTION_DAYS", 90, validate=Range(1, 36_500))
REJECTED_MAX_BYTES = env.int("REJECTED_MAX_BYTES", 2**30, validate=Range(min=2**20))
REJECTED_MAX_BYTES_PER_HOUR = env.int("REJECTED_MAX_BYTES_PER_HOUR", 64 * 2**20, validate=Range(min=0))
# For pages that say where a board sends to. The bridge reads them by itself.
MQTT_URL: str | None = env.str("MQTT_URL", None, validate=MqttAddress.parse)
MQTT_TOPICS: list[str] = env.list("MQTT_TOPICS", ["iot/measurements"])
# Where boards say that they are online, as the bridge reads it: what comes on these topics is no reading.
_status_topics = env.list("MQTT_STATUS_TOPICS", [], validate=check_status)
MQTT_STATUS_TOPICS = status_filters(_status_topics or (), MQTT_TOPICS or ())
# Read when a connection is made (monitoring/alerts/channels/mqtt.py).
MQTT_TLS = TlsFiles.read(env)
MQTT_PORT = env.int("MQTT_PORT", 1883)
MQTT_LISTEN = env.str("MQTT_LISTEN", "127.0.0.1")
# --- alerts
# Where people find this site: what is sent to them names it.
SITE_URL = (env.str("SITE_URL", None, validate=address.site) or "").rstrip("/")
_email = address.email_parameters(env.str("EMAIL_URL", None, validate=address.email))
EMAIL_HOST = _email.get("host", "")
EMAIL_PORT = _email.get("port", 25)
EMAIL_HOST_USER = _email.get("user", "")
EMAIL_HOST_PASSWORD = _email.get("password", "")
EMAIL_USE_TLS = _email.get("use_tls", False)
EMAIL_USE_SSL = _email.get("use_ssl", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", "iot-monitor@localhost")
# Whether channels may connect to private networks and to this machine.
ALERTS_ALLOW_PRIVATE = env.bool("ALERTS_ALLOW_PRIVATE", False)
# Asked once a minute while alerts are at work, for whoever watches the watcher.
ALERTS_HEARTBEAT_URL = env.str("ALERTS_HEARTBEAT_URL", None, validate=address.site)
# What carries Celery's tasks; the batches stay in Redis.
_broker_url = env.str("CELERY_BROKER_URL", None, validate=task_broker.check) or REDIS_URL
_sentinel_master = env.str("CELERY_SENTINEL_MASTER", "mymaster")
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", 2, validate=Range(min=1))

try:
    env.seal()
except SettingsError as error:
    # A line for whoever started the process, rather than a traceback through Django or Celery.
    sys.exit(str(error))

DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# Compiling a query that takes 10 ms takes PostgreSQL half a second, and over many partitions it tries.
DATABASES["default"]["OPTIONS"].setdefault("options", "-c jit=off")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "corsheaders",
    "django_htmx",
    "monitoring",
]

MIDDLEWARE = [
    # First: a refusal too, and a redirect to https, must be readable by the page that asked.
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFiles",
    "config.compression.Compression",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "monitoring.dashboard.viewer.InViewersZone",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "monitoring.throttle.Answers429",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
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

AUTHENTICATION_BACKENDS = ["monitoring.throttle.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGES = [("en", "English"), ("fr", "Français")]
# Before the catalogues of all apps: what is ours is said as we say it.
LOCALE_PATHS = [BASE_DIR / "monitoring" / "locale"]
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
# What npm brought (package-lock.json), under a folder of its own.
STATICFILES_DIRS = [("uplot", BASE_DIR / "node_modules" / "uplot" / "dist")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_files.HashedStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
# Where nobody ran collectstatic yet (a bare `manage.py runserver`, the tests) the apps' own files serve.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()

LOGIN_URL = "dashboard:login"
CSRF_FAILURE_VIEW = "config.pages.stale_form"
CORS_URLS_REGEX = r"^/(api|live)/"
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key"]
CORS_EXPOSE_HEADERS = ["Link", "Retry-After"]

X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "monitoring.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["monitoring.api.permissions.Permitted"],
    "DEFAULT_THROTTLE_CLASSES": ["monitoring.api.throttles.Changes"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["monitoring.api.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "monitoring.api.errors.handle",
    # ?format= would be a parameter that no route documents.
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
KNOX_TOKEN_MODEL = "monitoring.Token"  # noqa: S105 -- a model
REST_KNOX = {"TOKEN_TTL": None, "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "IoT Monitor",
    "DESCRIPTION": "Sensors, their measurements, and the books of the pipeline that brought them.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["monitoring.api.permissions.MayRead"],
    "SWAGGER_UI_DIST": "SIDECAR",
    # Several have a field of that name: clients that are made from the schema keep theirs.
    "ENUM_NAME_OVERRIDES": {
        "KindEnum": "monitoring.models.job.Job.Kind",
        "AlertKindEnum": "monitoring.models.alert_rule.AlertRule.Kind",
        "ChannelKindEnum": "monitoring.models.alert_channel.AlertChannel.Kind",
        "DeliveryStateEnum": "monitoring.models.alert_channel.Delivery.State",
    },
    "SWAGGER_UI_FAVICON_HREF": "/favicon.ico",
}

UNFOLD = {
    "SITE_TITLE": "IoT Monitor",
    "SITE_HEADER": "IoT Monitor",
    "SITE_SUBHEADER": __version__,
    "SITE_SYMBOL": "sensors",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("monitoring/favicon.svg"),
        },
    ],
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "STYLES": [lambda request: static("monitoring/admin.css")],
    "SCRIPTS": [lambda request: static("monitoring/admin.js")],
    # A sensor's page on the dashboard; nothing else has one.
    "SHOW_VIEW_ON_SITE": True,
    "DASHBOARD_CALLBACK": "monitoring.admin.overview.first_page",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "monitoring.admin.sidebar.navigation",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "process.log.Formatter", "zone": TIME_ZONE, "language": LANGUAGE_CODE}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Each would be a traceback, and whoever scans the internet sends one a minute: the answer is 400.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        # In lines of ours rather than its own, which have no time.
        "uvicorn": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}

CELERY_BROKER_URL = _broker_url
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = task_broker.transport_options(_broker_url, _sentinel_master)
if not _broker_url.startswith("amqp"):
    CELERY_BROKER_TRANSPORT_OPTIONS["health_check_interval"] = 25
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "msgpack"
CELERY_ACCEPT_CONTENT = ["msgpack", "json"]
CELERY_TASK_DEFAULT_QUEUE = queues.UPKEEP_QUEUE
CELERY_TASK_ROUTES = {
    task: {"queue": queues.INGEST_QUEUE} for task in (queues.INGEST_TASK, queues.RESEND_TASK)
}
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_WORKER_CONCURRENCY = WORKER_CONCURRENCY
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONSUMER = "config.worker:Consumer"
CELERY_WORKER_POOL = "config.worker:Pool"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_TIMEZONE = "UTC"
# A worker's connection outlives its tasks: the temporary table that COPY fills is made once for each.
CELERY_DB_REUSE_MAX = 10_000
