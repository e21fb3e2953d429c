"""A memory of bounded size."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Things by their ids: the last ones that were kept or asked for, `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: dict[str, T] = {}

    def keep(self, id_: str, thing: T) -> None:
        """Keep one; where there are too many, the one that was not asked for longest is let go."""
        self._things.pop(id_, None)
        self._things[id_] = thing
        if len(self._things) > self._most:
            del self._things[next(iter(self._things))]

    def get(self, id_: str) -> T | None:
        """Find one."""
        thing = self._things.get(id_)
        if thing is not None:
            self.keep(id_, thing)
        return thing

    def take(self, id_: str) -> T | None:
        """Find one, and let go of it."""
        return self._things.pop(id_, None)

    def clear(self) -> None:
        """Let go of all."""
        self._things.clear()
