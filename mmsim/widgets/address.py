"""A MigrationLab as an address and as a line of Python: its machine, call, obstacles, patches, release and step.

The settings are the arguments of MigrationLab.  In an address they stand as text, `?trigger=A&to=2&pin=5,7&step=40`.
"""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ..machine.changes import PATCHES, parse_patches
from ..machine.releases import known_release
from ..machine.policy import format_nodes, mask_nodes, parse_nodes
from ..mm.structs import MAX_NODES
from .layouts import LAYOUTS
from .placing import DONE
from .trigger import TRIGGERS

V1 = "V1"
FOREIGN = ("token", "path", "kernel", "code", "execute", "reset")  # of the pages that hold a lab; so is voila-...
SHORT = {"old": "from", "new": "to", "move_all": "all"}  # what an argument is called in an address
PAGE = r"\d+( of .+)?"


# -- one setting, read from text


def reader(right, fits, made=str):
    """A reader of a text that fits, and of what is `made` of it; `right`: what to say of any other."""

    def read(text):
        if not fits(text):
            raise ValueError(right)
        return made(text)

    return read


def one_of(names):
    return reader(f"it is one of {', '.join(names)}", lambda text: text in names)


def whole(least, most):
    right = f"it is a whole number from {least} to {most}"
    return reader(right, lambda text: text.isdecimal() and least <= int(text) <= most, int)


def flag(text):
    return bool(whole(0, 1)(text))


def nodes(text):
    try:
        parse_nodes(text, MAX_NODES)
    except (ValueError, OSError):
        raise ValueError("they are nodes, as in 0 or 0,2-3") from None
    return text


def patches(text):
    """The numbers of patches, as in 1-4 or 1,3; 0: none."""
    most = len(PATCHES)
    try:
        numbers = mask_nodes(parse_nodes(text, most + 1))
    except (ValueError, OSError):
        raise ValueError(f"they are numbers up to {most}, as in 1-4 or 1,3, or 0 for none") from None
    return tuple(sorted(parse_patches([n for n in numbers if n])))


def release(text):
    return None if text == V1 else known_release(text)


def beside(text):
    return int(text) if text.isdecimal() and int(text) <= len(PATCHES) else text if text == V1 else known_release(text)


def pages(text):
    """Pages that have an obstacle: 5 of the first task, '5 of b'."""
    found = [page.strip() for page in text.split(",") if page.strip()]
    if not all(re.fullmatch(PAGE, page) for page in found):
        raise ValueError("they are pages counted from 0, as in 5,7 or 5 of b")
    return tuple(int(page) if page.isdecimal() else page for page in found)


READERS = {
    "layout": one_of(LAYOUTS), "seed": whole(0, 9999), "trigger": one_of(TRIGGERS.values()), "old": nodes, "new": nodes,
    "move_all": flag, "strict": flag, "patches": patches, "release": release, "beside": beside, "simple": flag,
    **dict.fromkeys(DONE, pages), "step": whole(0, 10**6),
}  # fmt: skip


# -- all of them


def read(query):
    """(the arguments of MigrationLab that the query of an address asks for, what is wrong with it: sentences)."""
    settings, obstacles, wrong = {}, {}, []
    names = {SHORT.get(name, name): name for name in READERS}
    for key, text in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        if key in FOREIGN or key.startswith("voila"):
            continue
        if key not in names:
            wrong.append(f"The address has {key}={text}, which the lab does not know; it knows {', '.join(names)}.")
            continue
        try:
            (obstacles if key in DONE else settings)[names[key]] = READERS[names[key]](text)
        except ValueError as error:
            wrong.append(f"The address has {key}={text}: {error}.")
    return settings | ({"obstacles": obstacles} if any(obstacles.values()) else {}), wrong


def query(settings):
    """The settings as the query of an address."""
    texts = {}
    for name, value in settings.items():
        if name == "obstacles":
            texts |= {tool: ",".join(map(str, pages)) for tool, pages in value.items()}
        elif name == "patches":
            texts[name] = format_nodes(sum(1 << n for n in value)) if value else "0"
        else:
            texts[SHORT.get(name, name)] = int(value) if isinstance(value, bool) else value
    return urlencode(texts, safe=",-", quote_via=quote)


def line(settings, machine=""):
    """The settings as a line of Python."""
    arguments = [machine] * bool(machine) + [f"{name}={value!r}" for name, value in settings.items()]
    return f"MigrationLab({', '.join(arguments)})"


def link(page, asked):
    """The address of a lab on a page: that of an app, or of the console in the browser, which is given code to run."""
    at = urlsplit(page)
    if "/repl/" in at.path:
        code = f"%pip install -q mmsim\nfrom mmsim.widgets import MigrationLab\nMigrationLab.from_address({asked!r})"
        asked = urlencode({"kernel": "python", "execute": 1, "code": code}, quote_via=quote)
    where = f"{at.scheme}://{at.netloc}{at.path}" if page else ""
    return f"{where}?{asked}" if asked else where
