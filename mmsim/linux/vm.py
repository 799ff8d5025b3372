"""A real kernel with four NUMA nodes, in QEMU, for those who have none: `mmsim vm`.

It takes the kernel image of a distribution, and an initramfs with Python and mmsim.  Without KVM it takes a minute or
so until something is seen.
"""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from . import initramfs
from .calls import ends_with_parent

GUEST = "import sys; sys.path.insert(0, '/mmsim'); from mmsim.experiments.guest import main; main()"
NODES = (512, 512, 512, 128)  # MB of each: the machine that the records in tests/oracle come from
DISTANCES = ((10, 20, 30, 30), (20, 10, 30, 30), (30, 30, 10, 20), (30, 30, 20, 10))
QEMU = {"x86_64": "qemu-system-x86_64"}
NO_QEMU = "QEMU is missing; on Debian and Ubuntu: apt-get install --no-install-recommends qemu-system-x86"
NO_KERNEL = (
    "there is no kernel image in /boot that can be read; on Debian: apt-get install --no-install-recommends "
    "linux-image-amd64; or, to unpack it only, apt-get download and dpkg -x the package that `apt-cache depends "
    "linux-image-amd64` names, and give its boot/vmlinuz-* with --kernel"
)


class NotPossible(OSError):
    """A virtual machine cannot be started: the message says what to do."""


def kernel_image(name=None):
    """The kernel image to start: the one that is named, or the newest in /boot."""
    if name is not None:
        if not os.access(name, os.R_OK):
            raise NotPossible(f"--kernel {name}: there is no such file that can be read")
        return Path(name)
    images = [path for path in Path("/boot").glob("vmlinuz-*") if os.access(path, os.R_OK)]
    if not images:
        raise NotPossible(NO_KERNEL)
    return max(images, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])


def found(kernel=None):
    """(QEMU, the kernel image to start); NotPossible says what is missing."""
    if platform.machine() not in QEMU:
        raise NotPossible(f"mmsim vm knows {', '.join(QEMU)}, and this is {platform.machine()}")
    if (qemu := shutil.which(QEMU[platform.machine()])) is None:
        raise NotPossible(NO_QEMU)
    return qemu, kernel_image(kernel)


def command(qemu, image, archive, results, kvm=False):
    """The command line of QEMU."""
    line = [qemu, "-accel", "kvm" if kvm else "tcg", "-cpu", "max", "-smp", str(len(NODES)), "-m", f"{sum(NODES)}M",
            "-display", "none", "-no-reboot", "-nodefaults", "-serial", "mon:stdio", "-serial", results,
            "-kernel", str(image), "-initrd", str(archive)]  # fmt: skip
    for node, size in enumerate(NODES):
        line += ["-object", f"memory-backend-ram,id=m{node},size={size}M"]
        line += ["-numa", f"node,nodeid={node},memdev=m{node},cpus={node}"]
    for a, row in enumerate(DISTANCES):
        line += [word for b, d in enumerate(row) if a != b for word in ("-numa", f"dist,src={a},dst={b},val={d}")]
    return [*line, "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on numa_balancing=disable"]


def start(task, kernel=None, script=b"", show=None, kvm=False, talk=None, into=None):
    """Start the machine, let it do something, and wait until it is off: (its exit code, what it wrote as its result).

    `task`: what to do, for `guest.act`; `script`: the file that is to be run.  `kernel`: the image.  `show` is called
    with each line that the machine prints; None: the machine has this terminal.  `kvm`: let the processor run it: much
    faster, where the machine and its owner allow it.  `talk` is called with a function that sends the machine a line
    and gives the line that it answers (None: the first one that it says by itself).  `into`: the file in which the
    result is written, line by line, while the machine runs.

    NotPossible: QEMU or a kernel image is missing, or the machine did not come up.
    """
    qemu, image = found(kernel)
    with tempfile.TemporaryDirectory(prefix="mmsim-vm-") as folder:
        archive, results = Path(folder) / "initramfs", Path(into or Path(folder) / "results").absolute()
        files = [("root/task.json", json.dumps(task).encode()), ("root/script.py", script)]
        initramfs.write(archive, GUEST, files)
        line = command(qemu, image, archive, f"unix:{results},server=on,wait=off" if talk else f"file:{results}", kvm)
        if show is None:
            return subprocess.run(line, check=False, preexec_fn=ends_with_parent).returncode, ""
        code, said, failed = None, [], []
        with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", preexec_fn=ends_with_parent) as machine:  # fmt: skip
            try:
                if talk:
                    threading.Thread(target=converse, args=(talk, results, machine, failed), daemon=True).start()
                for text in machine.stdout:
                    said.append(text)
                    if ended := re.search(r"mmsim vm: exit (\d+)", text):
                        code = int(ended[1])
                    elif code is None:
                        show(text.rstrip())
            finally:
                machine.kill()
        if failed and not isinstance(failed[0], EOFError):
            raise failed[0]
        if code is None:
            raise NotPossible("the virtual machine did not come to its end; its last lines:\n" + "".join(said[-20:]))
        return code, results.read_text() if results.is_file() else ""


def converse(talk, path, machine, failed):
    """Let `talk` speak with the machine, and switch it off when it has done; an error of `talk` goes into `failed`."""
    while not path.exists():
        if machine.poll() is not None:
            return
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        answers = line.makefile("rb")

        def ask(text):
            if text is not None:
                line.sendall(text.encode() + b"\n")
            if not (answer := answers.readline()):
                raise EOFError("the virtual machine has gone")
            return answer.decode()

        try:
            talk(ask)
            line.sendall(b"null\n")
        except Exception as error:
            failed.append(error)
            machine.kill()
