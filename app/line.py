"""Who walks now and who waits: a line in which everybody knows their place."""

import threading

PLACES = 4  # walks at once on the whole page, each of which takes its turns of the compute thread
LENGTH = 20  # walks that may wait behind them
ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


class LineError(ValueError):
    """The line is so long that nobody else may join it."""


class Line:
    """``places`` at once, the others in the order in which they came. Safe to use from several threads."""

    def __init__(self, places: int = PLACES, length: int = LENGTH) -> None:
        self.places, self.length = places, length
        self._members: list[object] = []  # the first ``places`` of them have their turn
        self._moved = threading.Condition()

    def join(self) -> object:
        """A ticket, the last in line. Raises LineError, in a sentence, when too many wait already."""
        with self._moved:
            if len(self._members) >= self.places + self.length:
                raise LineError(f"{self.length} walks wait already: try again in a minute")
            ticket = object()
            self._members.append(ticket)
            return ticket

    def leave(self, ticket: object) -> None:
        """Whoever stands behind moves up."""
        with self._moved:
            self._members.remove(ticket)
            self._moved.notify_all()

    def place(self, ticket: object) -> int:
        """0 = its turn, 1 = the first of those who wait."""
        with self._moved:
            return max(0, self._members.index(ticket) + 1 - self.places)

    def wait(self, ticket: object, seconds: float) -> bool:
        """Whether its turn has come, within so many seconds."""
        with self._moved:
            return self._moved.wait_for(lambda: self._members.index(ticket) < self.places, seconds)


def in_words(place: int) -> str:
    """A place in line: "third", "12th"."""
    if place < len(ORDINALS):
        return ORDINALS[place]
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


LINE = Line()
