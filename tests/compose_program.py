"""Which Compose there is."""

import shutil
import subprocess


def compose() -> list[str]:
    """Compose as a plugin of Docker where there is one, else Debian's program; empty where there is none."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    found = shutil.which("docker-compose")
    return [found] if found else []
