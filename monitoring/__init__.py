"""The Django app: from batches to what people and programs see of them."""

# The one place where it stands; pyproject.toml reads it there, /readyz and the admin show it.
__version__ = "0.2.0"
