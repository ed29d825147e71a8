"""Builds the image and lives through a day of it, without a Docker engine; docs/container.md says what that shows.

Needs Linux, root and buildah (Debian: apt-get install buildah), and about 10 GB of disk. What it has built stays behind
as localhost/vaefrag:verify.

    sudo python3 docker/verify.py [--base IMAGE] [--members N] [-- OPTIONS OF buildah build ...]
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGE, USER = "localhost/vaefrag:verify", 10001
TOKEN = "made-up-for-this-verification"
# Plain isolation: processes and network are this machine's own, so they can be seen and killed from here.
os.environ |= {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "vfs")}


def buildah(*arguments: str) -> str:
    """Run buildah, and return its output."""
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Service:
    """A container of the image, with the shared volume.

    Args:
        volume: the folder that is /data in it.
        command: the command that runs in it.
        environment: variables that compose.yaml would set.
    """

    def __init__(self, volume: Path, command: list[str], **environment: str) -> None:
        self.volume, self._command = volume, command
        self.name = buildah("from", IMAGE)
        buildah("config", "--volume=/data-", self.name)  # a volume of its own would hide the shared one
        self.root = Path(buildah("mount", self.name))
        self.log = Path(tempfile.mkstemp(prefix="vaefrag-", suffix=".log")[1])
        self._options = ["--volume", f"{volume}:/data", *(f"--env={k}={v}" for k, v in environment.items())]
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as the image's user."""
        line = ["buildah", "run", *self._options, self.name, "--", *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=1800)

    def start(self) -> None:
        """Run its own command in the background."""
        shell = ["sh", "-c", 'echo $$ > /tmp/pid; exec "$@"', "sh", *self._command]
        (self.root / "tmp/pid").unlink(missing_ok=True)
        with self.log.open("a") as log:
            line = ["buildah", "run", *self._options, self.name, "--", *shell]
            self._process = subprocess.Popen(line, stdout=log, stderr=log)
        wait_for(f"{self._command[1]} to start", lambda: self.pid > 0)

    @property
    def pid(self) -> int:
        """The number of its first process on this machine; 0 before it has one."""
        path = self.root / "tmp/pid"
        return int(path.read_text() or 0) if path.is_file() else 0

    def end(self, number: signal.Signals) -> int:
        """Send a signal to its first process, or kill all as the end of a container does; return the exit code."""
        assert self._process is not None
        for pid in family(self.pid) if number == signal.SIGKILL else [self.pid]:
            os.kill(pid, number)
        return self._process.wait(timeout=60)

    def remove(self) -> None:
        """Kill what still runs, and take the container away."""
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)
        subprocess.run(["buildah", "rm", self.name], stdout=subprocess.DEVNULL, check=False)
        self.log.unlink()


class Site:
    """The pages as a browser meets them.

    Args:
        url: where they are.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Ask for a path, and return status and text."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(self._url + path, data, timeout=20) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError:
            return 0, ""

    def health(self) -> dict[str, Any]:
        """Return the body of /healthz; empty when nothing answers."""
        return json.loads(self.get("/healthz")[1] or "{}")


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def wait_for(what: str, condition: Callable[[], object], seconds: float = 120) -> float:
    """Wait until a condition holds, and return the seconds it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            sys.exit(f"FAILED: waited {seconds:g} s for {what}")
        time.sleep(0.2)
    return time.monotonic() - began


def check(what: str, holds: object, remark: object = "") -> None:
    """Print whether something holds, and end when it does not."""
    print("ok     " if holds else "FAILED ", what, remark, flush=True)
    if not holds:
        sys.exit(1)


def build(base: str | None, more: list[str]) -> None:
    """Build the image, and check its configuration."""
    began = time.monotonic()
    base_image = [] if base is None else ["--build-arg", f"BASE_IMAGE={base}"]
    # The format keeps HEALTHCHECK, which is Docker's own.
    subprocess.run(
        ["buildah", "bud", "-q", "--layers", "--format=docker", "-t", IMAGE, *base_image, *more, str(ROOT)], check=True
    )
    check("the image builds", True, f"in {time.monotonic() - began:.0f} s")
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    check("it runs as a user without rights", config["User"] == str(USER))
    check("its health check asks the pages", config["Healthcheck"]["Test"] == ["CMD", "vaefrag", "health"])
    check("it holds no token", not any("TOKEN" in line for line in config["Env"]))


def check_files(web: Service) -> None:
    """Measure how large the image is, and check that its user cannot change it."""
    packages = int(web.run("du", "-sm", "/opt/venv").stdout.split()[0])
    own = web.run("sh", "-c", "du -smc /opt/venv/lib/python3*/site-packages/vaefrag* | tail -n 1").stdout.split()[0]
    whole = int(subprocess.run(["du", "-smx", str(web.root)], stdout=subprocess.PIPE, text=True).stdout.split()[0])
    check("size", True, f"{whole} MB, of them {packages} MB packages, in which vaefrag takes {own} MB")
    check("packages have no builder's tools", web.run("ls", "/opt/venv/bin/pip").returncode != 0)
    check("its user cannot change the programs", web.run("sh", "-c", "touch $(which vaefrag)").returncode != 0)


def check_authentication(web: Service, site: Site) -> None:
    """Try to come in without the token and with it."""
    refused = web.run("env", "--unset=VAEFRAG_TOKEN", "vaefrag", "serve", "--no-browser")
    check("without a token nothing is served", refused.returncode == 1 and "access token" in refused.stderr)
    check("without signing in, callbacks are closed", site.get("/_dash-layout")[0] == 401)
    check("a wrong token is refused", site.get("/sign-in", {"token": "wrong"})[0] == 403)
    check("the token lets in", "vaefrag" in site.get("/sign-in", {"token": TOKEN})[1] and len(site.cookies) == 1)
    check("then they answer", site.get("/_dash-layout")[0] == 200)


def check_crash(web: Service, engine: Service, site: Site, members: int) -> str:
    """Kill the engine while it trains; return the ensemble that the next engine trained to the end."""
    options = ["--dataset=digits", "--beta=1", f"--members={members}", "--steps=1500", "--detach", "--json"]
    began = time.monotonic()
    job = json.loads(engine.run("vaefrag", "train", *options).stdout)
    wait_for("a checkpoint", lambda: list(engine.volume.glob("ensembles/*/members/*/checkpoint*")))
    check("training has begun", True, f"after {time.monotonic() - began:.0f} s")
    engine.end(signal.SIGKILL)
    seconds = wait_for("bad health", lambda: site.health() == {"status": "degraded", "web": True, "engine": False})
    check("a killed engine is seen in /healthz", True, f"after {seconds:.1f} s")
    check("and by its own health check", engine.run("vaefrag", "health", "--engine").returncode == 1)
    check("while the pages' own says alive", web.run("vaefrag", "health").returncode == 0)
    engine.start()
    seconds = wait_for("good health", lambda: site.health()["status"] == "ok")
    check("the next engine is seen", True, f"after {seconds:.1f} s")
    shown: dict[str, Any] = {}

    def done() -> bool:
        shown.update(json.loads(web.run("vaefrag", "jobs", "show", job["job"], "--json").stdout))
        return shown["state"] in ("done", "failed")

    wait_for("the end of training", done, 1800)
    check("it brings the training to its end", shown["state"] == "done", f"{time.monotonic() - began:.0f} s in all")
    return job["id"]


def check_result(web: Service, site: Site, ensemble_id: str) -> None:
    """Check that pages show what was trained, and load nothing to train with."""
    picture = f"/data/matrix/{ensemble_id}/nmi/tile.png"
    wait_for("the analysis", lambda: site.get(picture)[0] == 200, 600)
    check("its matrix is shown", True)
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in family(web.pid)]
    check("the processes of the pages hold no PyTorch", len(maps) == 2 and not any("libtorch" in text for text in maps))
    memory = sum(
        int(re.findall(r"Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[0]) for pid in family(web.pid)
    )
    check("memory", True, f"{memory / 1024:.0f} MB for the pages")


def check_restart(web: Service, engine: Service, site: Site) -> None:
    """End both as `docker stop` does, begin again, and check what they have written besides the volume."""
    check("the pages end when told", web.end(signal.SIGTERM) == 0)
    web.start()
    seconds = wait_for("the pages", lambda: site.health())
    check("and are there again", True, f"after {seconds:.1f} s")
    check("with sessions as they were", site.get("/_dash-layout")[0] == 200)
    check("the engine ends when told", engine.end(signal.SIGTERM) == 0)
    for service in (web, engine):
        newer = ["find", str(service.root), "-xdev", "-newer", str(service.root / "tmp/began"), "-type", "f"]
        files = subprocess.run(newer, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        inside = {path.removeprefix(str(service.root)) for path in files}
        outside = [path for path in inside if not path.startswith(("/tmp/", "/data/", "/run/", "/proc/", "/dev/"))]
        check("nothing was written outside /data and /tmp", not outside, " ".join(outside[:5]))


def main() -> None:
    """Check everything; the first thing that does not hold ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=None, help="base image; default the Dockerfile's")
    parser.add_argument("--members", type=int, default=30, help="members that are trained; default the demo's 30")
    parser.add_argument("options", nargs="*", help="options of buildah build, after --")
    arguments = parser.parse_args()
    build(arguments.base, arguments.options)
    volume = Path(tempfile.mkdtemp(prefix="vaefrag-"))
    os.chown(volume, USER, USER)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    serve = ["vaefrag", "serve", "--no-browser", "--no-engine"]
    web = Service(volume, serve, VAEFRAG_TOKEN=TOKEN, VAEFRAG_PORT=port)
    engine = Service(volume, ["vaefrag", "engine"])
    site = Site(f"http://127.0.0.1:{port}")
    try:
        check_files(web)
        for service in (web, engine):
            (service.root / "tmp/began").touch()
            service.start()
        seconds = wait_for("good health", lambda: site.health().get("status") == "ok")
        check("both are alive", True, f"after {seconds:.1f} s")
        check("as the health checks say", not web.run("vaefrag", "health").returncode)
        wait_for("the engine", lambda: not engine.run("vaefrag", "health", "--engine").returncode)
        check_authentication(web, site)
        check_result(web, site, check_crash(web, engine, site, arguments.members))
        check_restart(web, engine, site)
        check("no log holds the token", not any(TOKEN in service.log.read_text() for service in (web, engine)))
    except BaseException:
        print(web.log.read_text(), engine.log.read_text(), sep="\n")
        raise
    finally:
        for service in (web, engine):
            service.remove()
        shutil.rmtree(volume)


if __name__ == "__main__":
    main()
