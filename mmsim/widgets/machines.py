"""Which machine a MigrationLab runs, and what stands beside it: processes, patches, releases."""

import inspect

from ..machine.changes import PATCHES
from ..machine.releases import known_release
from ..machine.kernel import Kernel
from ..machine.topology import Topology
from .address import V1
from .controls import SETTINGS, beside_options, release_options, without
from .layouts import LAYOUTS, SEEDED
from .placing import place
from .recording import Recording
from .trigger import prepare


class Machines:
    """The part of a MigrationLab that chooses and builds machines, and records what the call does on them."""

    def _choose_machine(self, layout, seed, release):
        """Set the choices of the lab's own machine; ValueError: there is no such one."""
        c = self.controls
        if layout is not None and layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}; it is one of {', '.join(LAYOUTS)}")
        if seed is not None and not (isinstance(seed, int) and 0 <= seed <= c["seed"].max):
            raise ValueError(f"seed is {seed!r}; give a whole number from 0 to {c['seed'].max}")
        c["layout"].value = layout or c["layout"].value
        c["seed"].value = c["seed"].value if seed is None else seed
        if release not in (None, V1):
            c["release"].options = release_options(known_release(release))
            c["release"].value = known_release(release)

    def _choose_beside(self, beside):
        """Set what stands beside the machine; ValueError: that cannot be."""
        also = known_release(beside) if isinstance(beside, str) and beside != V1 else V1
        self.controls["beside"].options = beside_options(self._patches, self._kind, also)
        values = [value for _, value in self.controls["beside"].options]
        beside = also if isinstance(beside, str) else beside
        if beside is not None and (beside not in values or isinstance(beside, bool)):
            right = f"a patch that this machine has, or 0 for none: {[n for n in values if isinstance(n, int)]}"
            raise ValueError(f"beside is {beside!r}; it is {right}" + ", or a release: '2.6.18'" * bool(self._kind))
        self.controls["beside"].value = "" if beside is None else beside

    @property
    def release(self):
        """The release whose kernel the lab's own machine has; None: V1, or a machine of one's own."""
        return None if self._kind == V1 else self._kind

    @property
    def _kind(self):
        """What `beside_options` asks for: V1 or the release; None for a machine of one's own."""
        return None if self._machine is not None else self.controls["release"].value

    def _build(self, patches, release=None):
        """A machine for a run: made anew, or put back to what it was."""
        if self._before:
            self._machine.restore(self._before)
            return self._machine
        if self._machine:
            return self._machine(*[tuple(sorted(patches))] * takes_patches(self._machine))
        how = {"release": release} if release else {"patches": patches}
        kernel = Kernel(Topology.ring(nodes=4, frames=64), swap_slots=64, **how)
        layout = LAYOUTS[self.controls["layout"].value]
        layout(kernel, *[self.controls["seed"].value] * (layout in SEEDED))
        return kernel

    def _record(self, patches, release=None):
        """What the trigger does on a machine with these patches, or of a release, and the obstacles."""
        kernel = self._build(patches, release)
        self._own = {task.pid for task in kernel.tasks}
        place(kernel, self.placed)
        if not release:
            kernel.patches = patches
            kernel.tables["patch"][1:] = [p.number in patches for p in PATCHES]
        return kernel, Recording(kernel, prepare(kernel, *(self.controls[name].value for name in SETTINGS)))

    def _other(self, lacking):
        """(patches, release) of what stands beside the machine."""
        if isinstance(lacking, str):
            return (self._patches if lacking == "" else frozenset(p.number for p in PATCHES),
                    None if lacking in ("", V1) else lacking)  # fmt: skip
        return without(self._patches, lacking), None

    # -- what the settings do

    def _other_release(self, *_):
        """A kernel of another release: it has its own patches, and others may stand beside it."""
        self._set_patches(self._patches)
        self.run()

    def _toggled(self, number, on):
        """Switch a patch together with those that it needs, or that need it."""
        if self._quiet:
            return
        chosen = self._patches | {number} if on else without(self._patches, number)
        for patch in reversed(PATCHES):
            chosen |= set(patch.needs) if patch.number in chosen else set()
        others = sorted((chosen ^ self._patches) - {number})
        self._set_patches(chosen)
        note = ""
        if others:
            many, names = len(others) > 1, ", ".join(map(str, others))
            note = f"Patch{'es' * many} {names} {'are' if many else 'is'} {'on' if on else 'off'} too: "
            note += f"{number} needs {'them' if many else 'it'}." if on else f"nothing to build on without {number}."
        self.run(note)

    def _set_patches(self, chosen):
        self._patches, self._quiet, beside = frozenset(chosen), True, self.controls["beside"]
        for patch in PATCHES:
            self.controls[patch.number].value = patch.number in chosen
            self.controls[patch.number].disabled = self.release is not None
        lacking = beside.value
        beside.options = beside_options(self._patches, self._kind, lacking or V1 if isinstance(lacking, str) else V1)
        beside.value = lacking if lacking in dict(map(reversed, beside.options)) else ""
        self._quiet = False


def takes_patches(function):
    """Whether a function wants to be given patch numbers: by name, or as the argument that it cannot do without."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "patches" or (p.default is p.empty and p.kind <= p.POSITIONAL_OR_KEYWORD) for p in parameters)
