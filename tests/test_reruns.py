"""Widgets of a cell that is run again: they are closed, with all that they are made of, and leave no memory behind."""

import ipywidgets as W
import pytest

from mmsim.widgets import ConfigMatrix, HistoryLab, MigrationLab, RacePlayer, Sweep, reruns

ALL = W.widgets.widget._instances


@pytest.mark.parametrize("widget", [MigrationLab, RacePlayer, ConfigMatrix, HistoryLab])
def test_close_closes_all_that_it_is_made_of(widget):
    before = set(ALL)
    made = widget()
    assert len(set(ALL) - before) > 20
    made.close()
    made.close()
    assert set(ALL) == before
    assert made._repr_mimebundle_() == {"text/plain": f"<{widget.__name__}: closed>"}
    with pytest.raises(AttributeError, match="was closed, as its cell was run again"):
        made.message  # noqa: B018


def test_all_parts_share_one_script():
    stage = MigrationLab().stage
    assert type(stage).__module__ == "mmsim.widgets.stage", "no class of its own for each widget"
    assert "_esm" not in vars(stage)
    assert stage._esm is MigrationLab().stage._esm


class Shell:
    """What IPython says of the cell that is being run."""

    user_ns = {"In": [""]}  # noqa: RUF012
    execution_count = 1

    def __init__(self):
        self.run("a", 1)

    def run(self, cell, number):
        self.message = {"msg_type": "execute_request", "header": {"msg_id": str(number)}, "content": {"code": "lab"},
                        "metadata": {"cellId": cell}}  # fmt: skip

    def get_parent(self):
        return self.message


def test_a_cell_that_is_run_again_closes_what_it_had_made(monkeypatch):
    shell = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    first, second = ConfigMatrix(), ConfigMatrix()
    shell.run("b", 2)
    other = ConfigMatrix()
    assert not any("_closed" in vars(each) for each in (first, second, other)), "one cell may make several"
    shell.run("a", 3)
    again = ConfigMatrix()
    assert [("_closed" in vars(each)) for each in (first, second, other, again)] == [True, True, False, False]


@pytest.mark.full
def test_two_hundred_runs_of_the_cell_of_a_lab_leave_less_than_20_mb():
    """Each leaves a result in Out, as JupyterLab shows it."""
    jupyter_client = pytest.importorskip("jupyter_client.manager")
    manager, client = jupyter_client.start_new_kernel(kernel_name="python3")
    client.iopub_channel.stop()  # what is shown is not looked at
    pages = "int(open('/proc/self/statm').read().split()[1])"

    def run(code):
        # the reply to this: on a busy machine a second answer about the kernel itself may still be under way
        answer = client.execute(code, user_expressions={"pages": pages}, reply=True, timeout=60)["content"]
        assert answer["status"] == "ok", answer
        return 4096 * int(answer["user_expressions"]["pages"]["data"]["text/plain"])

    try:
        run("from mmsim.widgets import MigrationLab")
        memory = [run("lab = MigrationLab()\nlab") for _ in range(210)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert memory[-1] - memory[9] < 20e6


def test_a_closed_widget_takes_nothing_of_the_next_along():
    """Widgets at the level of a module, a layout say, would be closed with the first that has them."""
    for make in (lambda: Sweep("low-swap", {"scale": ["1/8192"]}, jobs=1), ConfigMatrix, HistoryLab):
        make().close()
        second = make()
        assert second.comm is not None
        assert all(each.comm is not None for each in reruns.parts_of(second))
        second.close()
