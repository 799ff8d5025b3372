"""The reader's copies of the lessons: work on them leaves the originals, and so git, as they were.

A copy follows its original for as long as the reader has changed no cell of it; running cells is no change.
"""

import hashlib
import json

from ..machine.writing import replacing

RECORD = ".originals.json"  # beside the copies: which state of each original was copied


def renew(originals, copies):
    """Copy what is new in one folder to the other, and keep what the reader has written.

    Returns a sentence for each copy that the reader has changed and whose original is another one by now.
    """
    record = copies / RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # the first time, or it is damaged
        known = {}
    said = []
    for file in sorted(originals.rglob("*")):
        name = file.relative_to(originals)
        if not file.is_file() or ".ipynb_checkpoints" in name.parts:
            continue
        copy, now, then = copies / name, [work(file), digest(file.read_bytes())], known.get(name.as_posix(), ["", ""])
        if copy.exists() and work(copy) not in (now[0], then[0]):
            if now[0] != then[0]:
                said.append(f"{copy.name} has your changes, and the original has changed since: "
                            "to get the new one, too, give yours another name and start again")  # fmt: skip
            continue
        if not copy.exists() or now != then:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with replacing(copy) as new:
                new.write(file.read_bytes())
        known[name.as_posix()] = now
    copies.mkdir(exist_ok=True)
    with replacing(record, "w", encoding="utf-8") as new:
        json.dump(known, new, indent=1)
    return said


def work(file):
    """What a reader may have written in a file: of a notebook its cells, but not their results, and no empty ones."""
    raw = file.read_bytes()
    try:
        cells = [[cell["cell_type"], "".join(cell["source"])] for cell in json.loads(raw)["cells"]]
    except (ValueError, KeyError, TypeError):  # no notebook, or one that is damaged
        return digest(raw)
    return digest(json.dumps([cell for cell in cells if cell[1].strip()]).encode())


def digest(raw):
    return hashlib.sha256(raw).hexdigest()[:16]
