"""The controls of the MigrationLab: what they are called, what they say, where they stand."""

import ipywidgets as W

from ..mm.structs import MAX_NODES
from ..machine.changes import PATCHES, RELEASED
from ..machine.policy import format_nodes, parse_nodes
from .address import V1
from .layouts import LAYOUTS
from .parts import AUTO
from .placing import TOOLS
from .stage import Range
from .trigger import TRIGGERS

SHORT = ("CONFIG_MIGRATION", "recheck", "direct", "remove_from_swap", "mbind, migrate_pages", "buffers", "gfp mask")
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # steps a second
EXPORTS = {"frames": "CSV frames", "pages": "CSV pages", "events": "CSV events", "png": "PNG", "svg": "SVG",
           "numa_maps": "numa_maps"}  # fmt: skip
PLAYER = ("First", "Back", "Play", "Step", "Last", "Reset")
SETTINGS = ("trigger", "from", "to", "all", "strict")


def make_controls(trigger, old, new):
    """All controls by name; the patches by number."""
    # What looks alike shares layout and style: each of its own would be one more widget, here and in the browser.
    plain, checks = W.Layout(), W.Layout(width="auto")
    buttons, choice = {"layout": plain, "style": W.ButtonStyle()}, {"layout": plain, "style": AUTO}
    text = choice | {"continuous_update": False}
    c = {
        "trigger": radio("trigger", TRIGGERS, trigger),
        "from": W.Text(nodes_text(old), description="from nodes", **text),
        "to": W.Text(nodes_text(new), description="to nodes", **text),
        "all": check("all", "MPOL_MF_MOVE_ALL: also pages of files that others map (needs CAP_SYS_RESOURCE)", checks),
        "strict": check("strict", "MPOL_MF_STRICT: an error if a page is, or stays, misplaced", checks),
        "layout": W.Dropdown(options=list(LAYOUTS), description="process", **choice),
        "seed": W.BoundedIntText(1, min=0, max=9999, description="seed", disabled=True, **text),
        "release": W.Dropdown(options=release_options(), description="kernel", **choice),
        "beside": W.Dropdown(options=beside_options(()), description="beside it", **choice),
        "tool": radio("a click will", list(TOOLS), "look"),
        "follow": W.Text(description="follow", placeholder="page 5 of a", **text),
        "event": W.BoundedIntText(0, min=0, max=1, description="no.", **text),
        "position": Range(name="event"),
        "speed": Range(name="speed", value=3, most=len(SPEEDS) - 1),
    }
    c["tool"].tooltip = "; ".join(f"{tool}: {text}" for tool, text in TOOLS.items())
    c |= {p.number: check(f"{p.number} {short}", patch_help(p), checks)
          for p, short in zip(PATCHES, SHORT, strict=True)}  # fmt: skip
    folds = {"Settings": "trigger, patches and process", "More": "the whole laboratory",
             "Passes": "what became of each page in each pass",
             "Link": "this lab as an address, and as a line of Python",
             "Source": "the function of mmsim that wrote this event"}  # fmt: skip
    c |= {name: W.Button(description=f"{name} ▸", tooltip=what, **buttons) for name, what in folds.items()}
    return c | {name: W.Button(description=name, **buttons) for name in (*PLAYER, *EXPORTS.values())}


def without(patches, number):
    """A set of patches that lacks one, and those that need it; 0: none is left."""
    left = frozenset(patches) - {number} if number else frozenset()
    for patch in PATCHES:  # they need earlier ones only
        left -= {patch.number} if not left.issuperset(patch.needs) else set()
    return left


def release_options(also=V1):
    """The kernels that the lab's own machine may have: (text, release); V1 has the patches that are chosen."""
    return [(kernel_name(name, "V1, with these patches"), name) for name in dict.fromkeys([V1, *RELEASED, also])]


def kernel_name(release, v1="V1"):
    """What to call a kernel of one of the releases: with the day on which it came out."""
    day = RELEASED.get(release, "")
    return v1 if release == V1 else f"Linux {release}" + f" ({day})" * bool(day)


def beside_options(patches, release=None, also=V1):
    """What may stand beside a machine with these patches, or of a release: (text, value).

    Values: the number of the patch that is lacking, 0 for all; a release, V1 with all patches; "" for nothing.
    `release`: that of the machine, V1; None: it has its own kernel only.  `also`: one that is asked for.
    """
    own = patches if release in (V1, None) else ()
    named = [(f"the same without {numbers(patches - without(patches, n))}", n) for n in sorted(own)]
    others = [each for each in release_options(also) if each[1] != release] if release else []
    return [("nothing", ""), *named, *[("the baseline, no patches", 0)] * bool(own),
            *[(kernel_name(name, "V1 (2005), all patches"), name) for _, name in others]]  # fmt: skip


def numbers(patches):
    """A set of patches in words."""
    return f"patch{'es' * (len(patches) != 1)} {', '.join(map(str, sorted(patches)))}" if patches else "no patches"


def settings_text(c, patches, process, release):
    """What the settings are, in one line."""
    moves = "what is elsewhere" if c["from"].disabled else f"from nodes {c['from'].value}"
    flags = "".join(f", {name}" for name in ("all", "strict") if c[name].value and not c[name].disabled)
    which = "all patches" if len(patches) == len(PATCHES) else numbers(patches)
    which = which if release == V1 else kernel_name(release)
    seed = "" if c["seed"].disabled else f", seed {c['seed'].value}"
    call = f"{c['trigger'].label}: {moves} to nodes {c['to'].value}{flags}"
    return f"{call} · {which}" + f" · {process}{seed}" * bool(process)


def nodes_text(nodes):
    """A node set as one types it."""
    return nodes if isinstance(nodes, str) else format_nodes(parse_nodes(nodes, MAX_NODES))


def patch_help(patch):
    """What the switch of a patch is about."""
    needs = f"; needs patch {patch.needs[0]}" if patch.needs else ""
    return f"patch {patch.number}: {patch.title} ({', '.join(patch.files)}){needs}"


def row(widgets, *classes):
    return W.HBox(widgets, layout=W.Layout(flex_flow="row wrap"), _dom_classes=["mm-row", *classes])


def radio(name, options, value):
    return W.RadioButtons(options=options, value=value, description=name, orientation="horizontal", style=AUTO,
                          layout=W.Layout(width="auto"))  # fmt: skip


def check(text, help, layout):
    return W.Checkbox(description=text, tooltip=help, indent=False, layout=layout)
