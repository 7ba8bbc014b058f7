"""Stop strings in a stream of text."""

from __future__ import annotations

import re
from collections.abc import Sequence


class StopStrings:
    """Passes text on until one of some strings appears, and none of that string.

    What could be the beginning of one is kept back until the next text decides.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if isinstance(stops, str):
            stops = [stops]
        if not all(isinstance(s, str) and s for s in stops):
            raise ValueError(f"stop strings must be strings and not empty: {list(stops)!r}")
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=0)
        self._kept = ""
        # Where one could begin; most tokens have no such place.
        begins = "|".join({re.escape(stop[0]) for stop in self._stops})
        self._begin = re.compile(begins or "(?!)").search
        self.found: str | None = None
        """The string that ended the text, once there was one."""

    def feed(self, text: str) -> str:
        """What of ``text``, and of what was kept back before, can go on."""
        if self.found is not None:
            return ""
        if not self._kept and self._begin(text) is None:
            return text
        text = self._kept + text
        # The one that begins first; of two that begin together, the longer.
        hits = [(at, -len(stop), stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if hits:
            at, _, self.found = min(hits)
            self._kept = ""
            return text[:at]
        keep = 0
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                keep = size
                break
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was kept back and turned out to be no stop string."""
        text, self._kept = self._kept, ""
        return text
