"""A SLURM cluster of one node on this machine, without systemd: munge, controller and node daemon as children of the test."""

import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge"]
PROGRAMS = ["slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "munged"]
SITE_CONF = Path("/etc/slurm/slurm.conf")  # the only place where srun looks within a job, whose environment is swept clean
MARK = "# made by the tests of defocus3d"
PARTITION = "normal"
PATIENCE_S = 60

# no accounting, no cgroups; more memory than the machine may have, since what is tested is the bookkeeping
CONF = """\
{mark}
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=7200
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """SLURM cannot be had on this machine; says why."""


def install() -> None:
    """Install SLURM from Debian's packages unless it is there. Raises Unavailable where that cannot be done."""
    if os.geteuid() != 0:
        raise Unavailable("starting SLURM needs root")
    if SITE_CONF.exists() and MARK not in SITE_CONF.read_text():
        raise Unavailable(f"this machine has a SLURM of its own ({SITE_CONF})")
    if all(map(shutil.which, PROGRAMS)):
        return
    if not shutil.which("apt-get"):
        raise Unavailable("SLURM is not installed, and there is no apt-get to install it with")
    apt = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", "-q", *command], **apt)
        if done.returncode:
            raise Unavailable(f"apt-get {command[0]} failed: {done.stdout[-500:]}{done.stderr[-500:]}")


@contextmanager
def running(folder: Path, cpus: int):
    """The cluster, ready for jobs while the `with` block lasts; its logs are in `folder`."""
    for part in ("spool", "state"):
        (folder / part).mkdir(parents=True)
    host = os.uname().nodename.split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(mark=MARK, host=host, folder=folder, cpus=cpus, partition=PARTITION))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    with ExitStack() as stack:
        stack.enter_context(_site_conf(conf))
        paths = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        stack.enter_context(_daemon(["munged", "--foreground", "--force", f"--key-file={key}", *paths], folder))
        _wait(lambda: _succeeds("munge", "--no-input", f"--socket={folder}/munge.socket"), "munged", folder)
        stack.enter_context(_daemon(["slurmctld", "-D", "-f", conf], folder))
        stack.enter_context(_daemon(["slurmd", "-D", "-f", conf, "-N", host], folder))
        stack.callback(_cancel_all)
        _wait(lambda: "idle" in output("sinfo", "--noheader", "--format=%T"), "slurmd", folder)
        yield


def output(*command: str) -> str:
    """What a command of SLURM prints; empty where it fails."""
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def jobs() -> list[dict[str, str]]:
    """All jobs that the controller remembers, as `scontrol show job` tells of them."""
    blocks = output("scontrol", "--oneliner", "show", "job").splitlines()
    return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in blocks if line.startswith("JobId=")]


@contextmanager
def _site_conf(conf: Path):
    SITE_CONF.parent.mkdir(parents=True, exist_ok=True)
    links = {SITE_CONF: conf, SITE_CONF.with_name("gres.conf"): conf.with_name("gres.conf")}
    for link, target in links.items():
        if link.is_symlink():  # left by a test that was killed
            link.unlink()
        link.symlink_to(target)
    try:
        yield
    finally:
        for link in links:
            link.unlink()


@contextmanager
def _daemon(command: list, folder: Path):
    """A process that is ended, by its own id, when the block is left."""
    with open(folder / f"{command[0]}.out", "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cancel_all() -> None:
    output("scancel", "--user=root")
    deadline = time.monotonic() + PATIENCE_S
    while output("squeue", "--noheader").strip() and time.monotonic() < deadline:
        time.sleep(0.5)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _wait(ready, name: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} is not ready after {PATIENCE_S} s:\n{(folder / f'{name}.out').read_text()[-2000:]}")
        time.sleep(0.5)
