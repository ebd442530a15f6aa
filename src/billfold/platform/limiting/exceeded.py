"""That somebody has done something too often."""

import msgspec


class Window(msgspec.Struct, frozen=True):
    """So many within so many seconds. It begins with the first one, and what is refused counts as well."""

    amount: int
    seconds: int


class Exceeded(msgspec.Struct, frozen=True):
    """Which limit it was."""

    name: str
    window: Window
    #: Until the window ends, at least one.
    wait_s: int
