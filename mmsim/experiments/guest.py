"""What runs in the virtual machine: the first process, which does what it was started for and then switches it off."""

import ctypes
import json
import os
import sys
import traceback
import tty
import warnings

POWER_OFF = 0x4321FEDC
# ruff: noqa: T201 -- what it prints is the console of the machine
MOUNTS = (("proc", "/proc", "proc", ""), ("sysfs", "/sys", "sysfs", ""), ("tmpfs", "/dev/shm", "tmpfs", ""),
          ("tmpfs", "/sys/fs/cgroup", "tmpfs", ""),
          ("cgroup", "/sys/fs/cgroup/cpuset", "cgroup", "cpuset"))  # fmt: skip


def mount_all():
    """Mount what programs expect."""
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind, options in MOUNTS:
        os.makedirs(target, exist_ok=True)
        if libc.mount(*(text.encode() for text in (source, target, kind)), 0, options.encode()):
            print(f"mount {target}: {os.strerror(ctypes.get_errno())}", flush=True)


def quiet():
    """No huge pages, and nothing that moves pages by itself."""
    for path, text in (("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
                       ("/proc/sys/kernel/numa_balancing", "0"), ("/proc/sys/vm/zone_reclaim_mode", "0")):  # fmt: skip
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(text)


def act(task):
    """Do what the machine was started for; its exit code."""
    from mmsim.linux import Linux

    warnings.simplefilter("ignore")
    if task["do"] == "prompt":
        import code

        from mmsim.terms.policy import Policy

        kernel = Linux(whole_machine=True)
        said = f"{kernel!r}\nkernel and Policy are there; end with exit() or ctrl-D"
        names = {"kernel": kernel, "Linux": Linux, "Policy": Policy, "exit": sys.exit}
        code.interact(said, piped("/root/script.py") if task["piped"] else None, names, exitmsg="")
        return 0
    if task["do"] == "histories":
        return answer_histories(Linux(whole_machine=True))
    with open("/dev/ttyS1", "w", buffering=1) as out:
        if task["do"] == "run":
            names = {"__name__": "__main__", "Linux": Linux, "out": out}
            with open("/root/script.py") as file:
                exec(compile(file.read(), task["name"], "exec"), names)
            return 0
        from mmsim.experiments.recording import record

        for line in record(Linux(whole_machine=True)):
            out.write(line + "\n")
            print(json.loads(line)["id"], flush=True)
    return 0


def piped(path):
    """What gives a prompt its lines, from a file."""
    with open(path) as file:
        lines = iter([*file.read().splitlines(), ""])  # an empty line ends a block

    def read(prompt):
        for line in lines:
            print(prompt + line)
            return line
        raise EOFError

    return read


def answer_histories(kernel):
    """Play the histories that come over the second serial port, a line each, and send back what is seen."""
    from mmsim.experiments.random_histories import play

    with open("/dev/ttyS1", "r+b", buffering=0) as line:
        tty.setraw(line.fileno())
        rest = b""

        def send(value):
            said = memoryview(json.dumps(value).encode() + b"\n")
            while said:
                said = said[line.write(said) :]

        send(kernel.release)
        while True:
            while b"\n" not in rest:
                rest += line.read(4096)
            steps, rest = rest.split(b"\n", 1)
            if steps == b"null":
                return 0
            send(play(kernel, json.loads(steps)))
            kernel.clear()


def main():
    """Be the first process."""
    code = 1
    try:
        mount_all()
        quiet()
        with open("/root/task.json") as file:
            code = act(json.load(file))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    print(f"mmsim vm: exit {code}", flush=True)
    sys.stdout.flush()
    os.sync()
    ctypes.CDLL(None).reboot(ctypes.c_int(POWER_OFF - (1 << 32) if POWER_OFF >> 31 else POWER_OFF))
