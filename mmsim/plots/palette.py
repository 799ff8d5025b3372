"""Colours, letters and hatches for owners, states, nodes and paths: one set for figures, widgets and site.

A family of colours has one meaning: blues are nodes, yellows and browns owners, mauves what swapping does,
greens and reds how a page's way ended, black tags what stands in its way; greys are all that has no family, such as
verdicts, kinds of allocation, and what is compared.  docs/code.md shows them all.
Some are alike in grey, or to some eyes, so that each look also has a letter and a hatch (as matplotlib spells them);
no meaning is carried by colour alone.  `ink` is the colour to write in upon it.
"""

from typing import NamedTuple

BLACK, WHITE, GREY, LIGHT, DARK, MIDDLE = "#000000", "#ffffff", "#7f7f7f", "#d9d9d9", "#4d4d4d", "#b0b0b0"
ORANGE, GREEN, YELLOW, VERMILLION, PURPLE = "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7"


class Look(NamedTuple):
    """How one thing looks."""

    colour: str
    letter: str
    hatch: str = ""
    ink: str = BLACK


# What a page frame is.  The last two come on top of the others: a tag, as MARKS has them.
SWAP_CACHE = Look(PURPLE, "s", "///")
STATES = {
    "free": Look(WHITE, "."),
    "mapped": Look(ORANGE, "m"),
    "swap cache": SWAP_CACHE,
    "page cache": Look("#cfc493", "c", "\\\\\\"),
    "kernel": Look(DARK, "k", "", WHITE),
    "other": Look(LIGHT, "o", ".."),
    "offline": Look(GREY, "x", "xxx"),
    "locked": Look(BLACK, "L", "", WHITE),
    "pinned": Look(BLACK, "P", "xx", WHITE),
}

# What stands in the way of a page, or will: a tag with a letter.
MARKS = {"pinned": "P", "locked": "L", "under writeback": "W", "in a locked vma": "M", "in a journal": "J",
         "no free swap slot": "N"}  # fmt: skip

# Whose it is.  Tasks take the looks of TASKS in turn, and a letter of their own: see `owners`.
SHARED = Look("#fff3b0", "+", "++")
TASKS = (Look(ORANGE, "a"), Look(YELLOW, "b", "//"), Look("#fbd5a5", "d", "xx"), Look("#7a4b00", "e", "\\\\", WHITE))

# Nodes take these in turn, neighbours far apart; what names a node is its number.
NODES = ("#c6dbef", "#08306b", "#6baed6", "#2171b5", "#e6f0fa", "#08519c", "#9ecae1", "#4292c6")

# Where a page can end (mm/trace.py).
PATHS = {
    "direct": Look(GREEN, "d"),
    "direct after writeout": Look("#a1d99b", "w", "//"),
    "direct with buffers": Look("#00592f", "b", "\\\\", WHITE),
    "swapped out": Look("#ecd9e6", "s", "///"),
    "freed from under us": Look(WHITE, "f"),
    "failed for good": Look(VERMILLION, "x", "xx"),
    "retries exhausted": Look("#f4a59a", "r", "++"),
    "not collected": Look(LIGHT, "n", ".."),
    "pending": Look("#f2f2f2", "p", "--"),
}


def owners(names):
    """{owner: Look} for the owners of `Kernel.residency`, tasks and others, in the order of `names`.

    `names`: their labels, each once (names.labels).  A task's letter is the first of its name that is still to be had,
    else the next of the alphabet.
    """
    looks = {"shared": SHARED} | {name: STATES[name] for name in STATES if name not in ("locked", "pinned")}
    tasks = [name for name in names if name not in looks]
    for i, (name, letter) in enumerate(zip(tasks, letters(tasks), strict=True)):
        looks[name] = TASKS[i % len(TASKS)]._replace(letter=letter)
    return {name: looks[name] for name in names}


def letters(names):
    """A letter for each name, the first of it that is still to be had, else the next of the alphabet."""
    found, taken = [], {look.letter for look in (*STATES.values(), SHARED)}
    for name in names:
        own = [c for c in name.partition(" (pid ")[0].lower() if c.isalpha()]
        wanted = own + [chr(c) for c in range(ord("a"), ord("z") + 1)]
        found.append(next((c for c in wanted if c not in taken), "?"))
        taken.add(found[-1])
    return found


def node(number):
    """The Look of a node: a colour, and its number as letter."""
    place = number % len(NODES)
    return Look(NODES[place], str(number), "", WHITE if place in (1, 3, 5) else BLACK)
