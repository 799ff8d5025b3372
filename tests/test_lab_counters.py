"""The counters of the lab are those of the machine."""

from mmsim.lessons import lesson07
from mmsim.mm import structs
from mmsim.widgets import MigrationLab


def test_lost_packets_are_counted():
    lab = MigrationLab(lambda patches: lesson07.small(patches)[0], "B", old=0, new=1, patches=7, beside=7)
    lost = [run.counters(run.steps)["packets lost"] for run in (lab.recording, lab.beside)]
    lab.step = lab.steps
    assert "<td>packets lost</td>" in lab._counters.value
    assert lost[1] > 0, "some are lost without patch 7"
    before = lab.recording._before["vmstat"][structs.VM_ATOMIC_FAILURES]
    assert lost[0] == lab.kernel.vmstat()["atomic_failures"] - before
