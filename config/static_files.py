"""Static files under names that hold a hash of what is in them, which a browser may keep for a year."""

from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    # Of a file whose name holds its hash; whitenoise's own is ten years.
    FOREVER = 365 * 24 * 3600


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Our scripts import one another under such names too.

    Where nobody ran collectstatic yet (a bare `manage.py runserver`, the tests) names stay as they are.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        # Not in the scripts of others: what looks like an import there need not be one.
        (
            "monitoring/dashboard/*.js",
            CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
        ),
    )

    def stored_name(self, name: str) -> str:
        return super().stored_name(name) if self.hashed_files else name
