"""The OpenAPI 3.1 document, made of the routes as they are: their types, operations and errors.

Both kinds of routes are described by the same code, and all schemas come from msgspec, which also decides what is
valid.
"""

from billfold.platform.web.openapi.document import Document

__all__ = ["Document"]
