"""Write docs/scenarios.md, the reference of scenario files, from the schema."""

from pathlib import Path

from mmsim.whatif import FIGURES
from mmsim.whatif.schema import ABOUT, reference, toml

HEAD = """# Scenario files

A scenario file (TOML) says what the machine is, what the jobs have in memory, what is moved, and which kernel
does it. `mmsim scenarios` lists those that ship, `mmsim scenarios drain-a-node` prints one, and
`mmsim scenarios --keys` the keys below. On the machine that you are asking for, `mmsim scenarios --from-machine`
writes a file that has its nodes, distances, sizes, swap and release; with `--pid` also the memory of a
process, as its `numa_maps` has it. For another machine, save what `numactl --hardware` and
`/proc/PID/numa_maps` print there, and give the two files: `--numactl`, `--numa-maps`. Names of processes and
hosts are never written, names of files only with `--names`.

Each key is also a parameter: `--set kernel.swap='8 GB'`, `--grid task.job.memory.heap.size='1 GB,4 GB'`. A
parameter that names a kernel, `kernel.release` or `kernel.patches`, stands instead of what the file says. A
file that names none asks V1, of November 2005; those that ship ask Linux 6.1, but for two that show what the
patches of the series do (`low-swap`, `packets-while-moving`).

The answer (of `run`) says what each node holds before and after, what is left where nothing was to be,
why, and what would help; what each system call answered; the times, and after how many accesses the move has
paid for itself. Below it stands what other kernels do with the same question, found by running it on a small
machine (`--alone` leaves that out). The exit code is 1 if a page that was to leave a node is still there, or
a call failed.

## Keys

"""
TAIL = """ ## Recipes

**Shared memory** has three spellings, which differ in what a move does. Memory of a task is private unless
they say otherwise.

```toml
# children: private memory, copy-on-write; a page that nobody has written is in one frame, and counts once
[[task]]
name = "server"
children = 4
copied = 0.1
memory = [{ name = "heap", size = "1 GB" }]

# shared = true without a file: shared anonymous memory, as of mmap(MAP_SHARED | MAP_ANONYMOUS). It is tmpfs inside:
# before Linux 2.6.18 each of its pages that is dirty needs a swap slot to move, and the policy belongs to the object.
[[task]]
name = "pool"
children = 2
memory = [{ name = "buffers", size = "1 GB", shared = true }]

# a file and shared = true: what is written goes to the file; dirty pages with buffers move if the file system can.
[[task]]
name = "store"
children = 2
memory = [{ name = "tables", size = "1 GB", file = "ext3", shared = true, dirty = 0.1 }]
```

**Threads on several nodes.** A task has one place for its pages, and may access them from several nodes, in
shares:

```toml
[[task]]
name = "java"
node = 0
runs_on = { 0 = 0.5, 1 = 0.5 }
memory = [{ name = "heap", size = "2 GB", policy = "interleave:0-3" }]
```

**Cpusets** (of cgroup v1; cgroup v2 has no memory_migrate, and always migrates since 5.15): the job is in one,
and its nodes change, or the job is attached to another.

```toml
[[cpuset]]
name = "batch"
mems = "0-3"
memory_migrate = true

[[task]]
name = "job"
cpuset = "batch"
policy = "interleave:0-3"
memory = [{ name = "arrays", size = "2 GB" }]

[trigger.mems]
cpuset = "batch"
mems = "0-1"
```

**No swap.** Before 2.6.18 no anonymous page moves without a slot; since then none is needed:

```toml
[kernel]
release = "6.1"
swap = "0 GB"

[grid]
"kernel.release" = ["V1", "2.6.16", "2.6.18", "6.1"]
```

**A huge page cache** that no process maps does not move, as the calls walk page tables; it takes the room of
what is to come:

```toml
[[background]]
name = "backup"
node = 1
cache = "3 GB"
```

**Which kernel do I need?** `mmsim history low-swap --set scale=1/1024 --releases V1,2.6.18,6.1` says what
each kernel does, which is the first that does all that was asked, and figure by figure which change made the
difference. Without `--releases`: each in which something changed.

## On a cluster

`pip install 'mmsim[cluster]'` here and on the workers, the same version. Whatever starts a dask scheduler and
its workers will do; `sweep` is told where the scheduler is:

```sh
mmsim sweep mine.toml --cluster tcp://scheduler:8786 --keep rows.jsonl
```

A worker that dies loses no row: its points run elsewhere, each counted once; `--keep` goes on after an
interruption here. A worker without mmsim, or with another version, is refused; one without numba is named. A
computer that has not compiled the kernel yet does so once, before the sweep begins (as does
`python -m mmsim.machine.compiled` there); one that cannot is named, too.

Slurm, in a job script (`sbatch -N 4 sweep.sh`), with a folder that all nodes share:

```text
dask scheduler --scheduler-file $HOME/scheduler.json &
srun dask worker --scheduler-file $HOME/scheduler.json --nworkers auto --nthreads 1 &
mmsim sweep mine.toml --cluster $HOME/scheduler.json --keep rows.jsonl
```

Kubernetes, with the [dask operator](https://kubernetes.dask.org) and an image that has `mmsim[cluster]`:

```text
helm install --repo https://helm.dask.org --create-namespace -n dask-operator --generate-name dask-kubernetes-operator
python -c "from dask_kubernetes.operator import KubeCluster; KubeCluster(name='mmsim', image=IMAGE, n_workers=8)"
kubectl port-forward service/mmsim-scheduler 8786 &
mmsim sweep mine.toml --cluster tcp://localhost:8786 --keep rows.jsonl
```

## What cannot be asked

- Huge pages (transparent, hugetlbfs), KSM, and automatic NUMA balancing: the model has pages of 4 KiB, and
  moves none unasked.
- Bandwidth, caches, and how threads slow each other down: each access has a cost that depends on the distance
  alone.
- CPU time beside memory: break-even is about memory that is accessed at a stated rate.
- Memory that is written while it moves, by tasks that run: they stand still for the time of the call.
  `mmsim.race` interleaves small ones.
- Zones, zone_reclaim_mode, movable memory blocks, CXL and demotion (5.15): each node has one zone.
- Memory cgroups and their limits; zswap, zram; several swap devices.
- File systems later than 2005: ext4 and xfs of today move as ext3 and xfs do here; btrfs, overlayfs, FUSE are
  not there.
- `task` names whole processes: a part of the memory can be named in `trigger.mbind` alone. One file has one
  trigger.
- Kernels of distributions with changes of their own: the release is that of kernel.org.
"""


def page():
    """The text of docs/scenarios.md; made by `python docs/scenarios.py`."""
    parts, table = [HEAD], None
    for said in reference():
        if said.table != table:
            table = said.table
            title = f"`[{table}]`: {ABOUT.get(table, '')}".removesuffix(": ") if table else "At the top of the file"
            parts.append(f"\n### {title}\n\n")
            if not said.key:
                parts.append(f"{said.says}\n\n")
            parts.append("| key | what it says | unit | example | default |\n| --- | --- | --- | --- | --- |\n")
            if not said.key:
                continue
        cells = [f"`{said.key}`", said.says, said.unit, f"`{toml(said.example)}`", said.default]
        parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    parts.append("\n## Figures\n\nOf the machine that ran; `--json` and `--csv` have those of the full size, too.\n\n")
    figures = (f"| `{name}` | {says} |\n" for name, says in FIGURES.items())
    return "".join([*parts, "| figure | what it is |\n| --- | --- |\n", *figures, TAIL])


if __name__ == "__main__":
    (Path(__file__).parent / "scenarios.md").write_text(page())
