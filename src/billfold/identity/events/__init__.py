"""What happened to people and their credentials. Fields of a payload are only ever added within a version.

Each event is ordered by its owner, and written in the database transaction of the change it tells of. No event has a
secret in it, nor the hash of one.
"""

from billfold.identity.events.keys import SOURCE, TYPES, ApiKeyEventType, api_key_event

__all__ = ["SOURCE", "TYPES", "ApiKeyEventType", "api_key_event"]
