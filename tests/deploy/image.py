"""The steps of a Dockerfile, run without a container engine: the same commands in a clean root.

It knows what the project's own Dockerfile uses, and refuses what it does not know.
"""

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from clean_root import PATH, CleanRoot


@dataclass
class Image:
    """What the last stage leaves behind."""

    root: CleanRoot
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    cwd: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)

    def run(self, *words: str, **options) -> str:
        """Run a command as a container of this image would, with a root that cannot be written."""
        options.setdefault("frozen", True)
        environ = self.environ | options.pop("environ", {})
        return self.root.run(words, environ=environ, cwd=self.cwd, user=self.user, **options)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Pairs of instruction and the rest of its line, continued lines joined."""
    lines = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in pairs]


def build(dockerfile: Path, context: Path, folder: Path, environ: dict[str, str], binds: dict[Path, str]) -> Image:
    """Run all steps; `environ` and `binds` are added to each of them. Returns the last stage."""
    stages: dict[str, Image] = {}
    image: Image | None = None
    for name, rest in instructions(dockerfile):
        if name == "FROM":
            title = rest.partition(" AS ")[2] or "last"
            image = stages[title] = Image(CleanRoot(folder / title))
            continue
        if image is None:
            assert name == "ARG", f"{name} before FROM"
            continue
        match name:
            case "RUN":
                # As in an engine, root may write everywhere while an image is built.
                image.root.run(["sh", "-c", rest], environ=image.environ | environ, cwd=image.cwd, binds=binds)
            case "COPY":
                _copy(rest, image, stages, context)
            case "ARG":  # for the steps that follow, and not for the image
                key, _, value = rest.partition("=")
                environ = environ | {key: value}
            case "ENV":
                for key, value in re.findall(r"(\w+)=(\S+)", rest):
                    image.environ[key] = value.replace("$PATH", image.environ["PATH"])
            case "WORKDIR":
                image.cwd = rest
                image.root.at(rest).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = rest
            case "CMD":
                image.command = json.loads(rest)
            case "LABEL" | "VOLUME":
                pass
            case _:
                raise AssertionError(f"the Dockerfile has a {name}, which this test does not know")
    assert image is not None
    return image


def _copy(rest: str, image: Image, stages: dict[str, Image], context: Path) -> None:
    words = rest.split()
    origin = context
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root.folder
    *sources, target = words
    goal = image.root.at(target if target.startswith("/") else f"{image.cwd}/{target}")
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(path, goal, symlinks=True, dirs_exist_ok=True)
        else:
            into = goal / path.name if target.endswith("/") else goal
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)
