"""Following one page of a MigrationLab from event to event, and what the player's bar marks."""

from html import escape

from ..mm import trace

MARKS = 300  # of one kind on the player's bar


class Following:
    """The part of a MigrationLab that knows which page Step and Back follow."""

    def follow(self, page):
        """Have Step and Back go from event to event of one page of the first task, counted from 0; None: of all again.

        ValueError: there is no such page.
        """
        own = self.recording.pte_address[self.recording.pte_pid == self.kernel.tasks[0].pid]
        if page is not None and not (isinstance(page, int) and 0 <= page < len(own)):
            raise ValueError(f"page is {page!r}; give 0 to {len(own) - 1}, or None")
        self._follow(None if page is None else (self.kernel.tasks[0].pid, int(own[page])))

    def _follow(self, page):
        self.followed = page
        self._mark()
        self._prepare()

    def _follow_what(self, change):
        """Somebody wrote which page: '5', '5 of a', 'page 5 of a'; or nothing."""
        if self._quiet:
            return
        text = change["new"].strip().removeprefix("page ")
        try:
            self._follow(self._page(text) if text else None)
        except ValueError as error:
            self._say(f"{error} to follow.", self._obstacles())

    def _next(self, way):
        """The step to which Step (1) or Back (-1) goes."""
        if not self._path:
            return self.step + way
        ahead = [step for step in self._path if (step - self.step) * way > 0]
        return min(ahead, key=lambda step: abs(step - self.step), default=self.steps if way > 0 else 0)

    def _mark(self):
        """Note where passes begin, pages fail, the two kernels part, and where the page that is followed has events."""
        recording, first = self.recording, {}
        for step, at in enumerate(self._pairs):
            first.setdefault(at[0], step)
        gone = self.followed and not (recording.pte_pid == self.followed[0]).any()
        self.followed = None if gone else self.followed
        place = recording.find(*self.followed) if self.followed else None
        self._path = [] if place is None else [first[step] for step in recording.steps_of(place)]
        marks = {"pass": [first[step] for step in recording.steps_where(trace.PASS)],
                 "fails": [first[step] for step in recording.steps_where(trace.FAILED)],
                 "part": self._parting(), "page": self._path}  # fmt: skip
        self.controls["position"].marks = [[step, kind] for kind, steps in marks.items() for step in steps[:MARKS]]
        name = recording.virtual(place) if self.followed else ""
        self._following.value = escape(f"{len(self._path)} events: Step goes to the next" if name else "")
        self._quiet, self.controls["follow"].value = True, name
        self._quiet = False

    def _parting(self):
        """The first step at which the two machines do not do the same, in a list; of one machine none."""
        if not self.beside:
            return []
        # Before the first event and after the last one there is none.
        here, there = ([None, *run.events[["code", "page", "new_page", "arg"]].tolist(), None] for run in self._runs)
        return [step for step, (a, b) in enumerate(self._pairs) if here[a] != there[b]][:1]
