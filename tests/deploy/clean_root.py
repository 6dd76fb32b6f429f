"""A root file system with Python and Debian's tools, read-only, and folders of its own where a test lets it write."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

READ_ONLY = ("/usr", "/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache", "/etc/login.defs")
"""What is taken from the machine. Nothing else of it is seen: no home, no checkout, no settings."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CleanRoot:
    """Folders below `folder` appear as `/opt`, `/src` and so on; each command gets processes, names and (unless it is
    told otherwise) a network of its own, without a way out."""

    def __init__(self, folder: Path, writable: Sequence[str] = ("opt", "src", "var", "wheel", "tmp")) -> None:
        self.folder = folder
        for name in (*writable, "etc", "programs"):
            (folder / name).mkdir(parents=True)
        self.writable = list(writable)
        # Called as in the image; the Python that the checkout's own environment was made from.
        # Not a link: a virtual environment that is made through one takes its folder for Python's home.
        python = folder / "programs" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        (folder / "etc" / "passwd").write_text("root:x:0:0:root:/tmp:/bin/sh\n", encoding="utf-8")
        (folder / "etc" / "group").write_text("root:x:0:\n", encoding="utf-8")
        (folder / "etc" / "shadow").write_text("root:*:19000:0:99999:7:::\n", encoding="utf-8")
        (folder / "tmp").chmod(0o1777)

    def at(self, path: str) -> Path:
        """Where a path of the clean root is on this machine."""
        return self.folder / path.lstrip("/")

    def command(
        self, words: Sequence[str], *, environ: Mapping[str, str], cwd: str = "/", user: str = "", frozen: bool = False,
        binds: Mapping[Path, str] | None = None,
    ) -> list[str]:  # fmt: skip
        """The words with which a command runs inside. `user` is `uid:gid`; `frozen`: only /tmp and /var can be
        written, as in a container with a read-only root; `binds` are shown read-only."""
        base = sys.base_prefix
        inside = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--die-with-parent",
                  "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev"]  # fmt: skip
        inside += ["--perms", "1777", "--tmpfs", "/dev/shm"]  # as everywhere; bubblewrap's own is root's
        inside += ["--ro-bind" if frozen else "--bind", str(self.folder / "etc"), "/etc"]
        for path in READ_ONLY:
            if os.path.exists(path):
                inside += ["--ro-bind", path, path]
        for name in ("bin", "sbin", "lib", "lib64"):
            inside += ["--symlink", f"usr/{name}", f"/{name}"]
        if not base.startswith("/usr"):
            for parent in reversed(Path(base).parents[:-1]):  # bubblewrap would make them for root alone
                inside += ["--perms", "0755", "--dir", str(parent)]
            inside += ["--ro-bind", base, base]
        inside += ["--ro-bind", str(self.folder / "programs"), "/programs"]
        for name in self.writable:
            frozen_here = frozen and name not in ("tmp", "var")
            inside += ["--ro-bind" if frozen_here else "--bind", str(self.folder / name), f"/{name}"]
        for source, target in (binds or {}).items():
            inside += ["--ro-bind", str(source), target]
        for name, value in ({"PATH": PATH} | dict(environ)).items():
            inside += ["--setenv", name, f"{value}:/programs" if name == "PATH" else value]
        inside += ["--chdir", cwd]
        if user:
            uid, _, gid = user.partition(":")
            inside += ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs",
                       "--bounding-set=-all", "--inh-caps=-all"]  # fmt: skip
        return [*inside, *words]

    def run(self, words: Sequence[str], *, status: int = 0, **options) -> str:
        """Run a command; returns what it printed. `options` are those of `command`."""
        ran = subprocess.run(self.command(words, **options), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert ran.returncode == status, f"{words}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout if status == 0 else ran.stderr


def missing() -> str:
    """Why no clean root can be made here; empty where it can."""
    if os.getuid() != 0:
        return "only root makes a clean root here"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed: make system"
    tried = subprocess.run(["bwrap", "--ro-bind", "/", "/", "--unshare-net", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"
