"""How topics and types are written in queries and messages."""

from typing import Annotated

from msgspec import Meta

from billfold.notifications import errors
from billfold.notifications.contracts import TOPICS, Topic

#: More names than there are types are no list of types.
_LIST_MAX = 2_000

TopicList = (
    Annotated[
        str,
        Meta(
            description=f"Only of these topics, separated by commas: {', '.join(TOPICS)}.",
            examples=["balances,requests"],
            max_length=_LIST_MAX,
        ),
    ]
    | None
)
After = (
    Annotated[
        int,
        Meta(description="Only what happened behind this position.", ge=0, le=2**63 - 1, examples=[41]),
    ]
    | None
)


def listed(text: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(one.strip() for one in (text or "").split(",") if one.strip())


def topics(names: tuple[str, ...], *, pointer: str) -> tuple[Topic, ...]:
    """The topics of these names.

    Raises:
        TopicUnknown.
    """
    found = tuple(topic for topic in TOPICS if topic in names)
    if len(found) != len(set(names)):
        raise errors.TopicUnknown(pointer=pointer)
    return found
