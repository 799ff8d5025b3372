"""Colours, letters and hatches for owners, states, nodes and paths: one set for figures and widgets.

The colours are those of Okabe and Ito, which people with any kind of colour vision tell apart.
Some are alike in grey, so that each look also has a letter and a hatch (as matplotlib spells them);
no meaning is carried by colour alone.  `ink` is the colour to write in upon it.
"""

from typing import NamedTuple

BLACK, WHITE, GREY, LIGHT, DARK = "#000000", "#ffffff", "#7f7f7f", "#d9d9d9", "#4d4d4d"
ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"


class Look(NamedTuple):
    """How one thing looks."""

    colour: str
    letter: str
    hatch: str = ""
    ink: str = BLACK


# What a page frame is.  The last two come on top of the others: a mark, or an outline.
STATES = {
    "free": Look(WHITE, "."),
    "mapped": Look(SKY, "m"),
    "swap cache": Look(VERMILLION, "s", "///"),
    "page cache": Look(GREEN, "c", "\\\\\\"),
    "kernel": Look(DARK, "k", "", WHITE),
    "other": Look(LIGHT, "o", ".."),
    "offline": Look(GREY, "x", "xxx"),
    "locked": Look(BLACK, "L", "", WHITE),
    "pinned": Look(PURPLE, "P", "xx"),
}

# Whose it is.  Tasks take the looks of TASKS in turn, and a letter of their own: see `owners`.
SHARED = Look(YELLOW, "+", "++")
TASKS = (Look(SKY, "a"), Look(ORANGE, "b", "//"), Look(PURPLE, "d", "xx"), Look(BLUE, "e", "\\\\", WHITE))

# Nodes take these in turn; what names a node is its number.
NODES = (SKY, ORANGE, GREEN, PURPLE, YELLOW, BLUE, VERMILLION, GREY)

# Where a page can end (mm/trace.py).
PATHS = {
    "direct": Look(SKY, "d"),
    "direct after writeout": Look(BLUE, "w", "//", WHITE),
    "direct with buffers": Look(GREEN, "b", "\\\\"),
    "swapped out": Look(ORANGE, "s", "///"),
    "freed from under us": Look(WHITE, "f"),
    "failed for good": Look(VERMILLION, "x", "xx"),
    "retries exhausted": Look(PURPLE, "r", "++"),
    "not collected": Look(LIGHT, "n", ".."),
    "pending": Look(YELLOW, "p", "--"),
}


def owners(names):
    """{owner: Look} for the owners of `Kernel.residency`, tasks and others, in the order of `names`.

    `names`: their labels, each once (names.labels).  A task's letter is the first of its name that is still to be had,
    else the next of the alphabet.
    """
    taken = {look.letter for look in (*STATES.values(), SHARED)}
    looks = {"shared": SHARED} | {name: STATES[name] for name in STATES if name not in ("locked", "pinned")}
    tasks = [name for name in names if name not in looks]
    for i, name in enumerate(tasks):
        own = [c for c in name.partition(" (pid ")[0].lower() if c.isalpha()]
        wanted = own + [chr(c) for c in range(ord("a"), ord("z") + 1)]
        letter = next((c for c in wanted if c not in taken), "?")
        taken.add(letter)
        looks[name] = TASKS[i % len(TASKS)]._replace(letter=letter)
    return {name: looks[name] for name in names}


def node(number):
    """The Look of a node: a colour, and its number as letter."""
    colour = NODES[number % len(NODES)]
    return Look(colour, str(number), "", WHITE if colour == BLUE else BLACK)
