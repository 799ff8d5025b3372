"""The file in which a sweep keeps its rows."""

import json
from pathlib import Path

from .. import __version__
from ..machine.writing import replacing
from .content import digest
from .report import FIGURES


class Log:
    """The file in which a sweep keeps its rows; its first line says of which scenario they are."""

    def __init__(self, path, scenario, seed):
        self.path, self.name = Path(path), scenario.name
        self.digest = digest((scenario.content(), seed, __version__, list(FIGURES)))

    def read(self):
        """{name of the point: row} of what the file holds; it is begun if it is not there.

        ValueError, with the file and the line: rows of another scenario, a line that is damaged.  One that was cut off
        at the end is no error: it was being written when the sweep was ended.
        """
        raw = self.path.read_bytes() if self.path.exists() else b""
        if not raw:
            with replacing(self.path) as file:
                file.write(json.dumps({"scenario": self.name, "digest": self.digest}).encode() + b"\n")
            return {}
        head, *lines = raw.splitlines(keepends=True)
        if not isinstance(found := parsed(head), dict) or "digest" not in found:
            raise ValueError(f"keep: {self.path} is no file in which a sweep has kept its rows; name another file")
        if found["digest"] != self.digest:
            raise ValueError(
                f"keep: {self.path} has rows of another scenario or seed; name another file, or delete it "
                "(after a change of its functions or its tables, or of mmsim, a scenario is another one)"
            )
        cut = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        rows = {}
        for number, line in enumerate(lines, 2):
            kept = parsed(line)
            if not is_kept(kept):
                where = f"keep: {self.path}, line {number} is damaged"
                raise ValueError(f"{where}: {line[:40]!r}; delete the line, and its point runs again")
            rows[kept["point"]] = kept["row"]
        if cut:
            with self.path.open("r+b") as file:
                file.truncate(len(raw) - len(cut))
        return rows

    def append(self, key, row):
        """Write one row; it is on disk when this returns."""
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps({"point": key, "row": row}).encode() + b"\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def parsed(line):
    """What a line says; None if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def is_kept(line):
    """True for the row of a point."""
    if not isinstance(line, dict) or not isinstance(line.get("point"), str) or not isinstance(line.get("row"), dict):
        return False
    return line["row"].keys() <= FIGURES.keys() and isinstance(line["row"].get("error"), str)
