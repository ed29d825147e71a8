"""The command as a person and as a script would run it: real processes, real exit codes."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from support import Trained, wait_until
from vaefrag.cli import cli
from vaefrag_core.ensemble_store import EnsembleStore
from webpages import Tab, app_of

TINY = ["--members", "2", "--steps", "50", "--widths", "8", "--channels", "2", "--fingerprint-size", "40"]


@pytest.fixture
def own(trained: Trained, tmp_path: Path) -> Trained:
    """Copy the small real ensemble: other tests should not see what a command adds to it."""
    workspace = shutil.copytree(trained.store.workspace, tmp_path / "own")
    return trained._replace(store=EnsembleStore(workspace))


def vaefrag(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vaefrag", *arguments], capture_output=True, text=True, timeout=timeout
    )


def test_train_writes_one_json_object_and_tells_people_the_rest(tmp_path: Path) -> None:
    done = vaefrag("train", *TINY, "--workspace", str(tmp_path), "--workers", "1", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["id"] == EnsembleStore(tmp_path).ids()[0]
    assert result["state"] == "done"
    assert result["members_done"] == 2
    assert isinstance(result["hotspots"], list)
    assert "Training" in done.stderr


def test_a_covariate_that_was_named_an_identifier_is_no_finding_until_it_is_named_no_more(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 6, 120)
    images = (40 * batch[:, None, None] + rng.integers(0, 30, (120, 8, 8))).astype(np.uint8)
    labels = np.stack([batch, rng.integers(0, 3, 120)], axis=1)
    np.savez(tmp_path / "x.npz", images=images, labels=labels, label_names=["batch", "kind"])
    place = ("--workspace", str(tmp_path / "here"), "--json")
    typed = ("train", "--dataset", "npz", "--path", str(tmp_path / "x.npz"), "--fingerprint-size", "all", *place)
    typed = (*typed, "--members", "2", "--steps", "60", "--channels", "2", "--widths", "8", "--workers", "1")
    ids = []
    for named in (("--identifier", "batch"), ()):
        done = vaefrag(*typed, *named)
        assert done.returncode == 0, done.stderr
        result, told = json.loads(done.stdout), ["kind"] if named else ["batch", "kind"]
        ids.append(result["id"])
        assert result["identifiers"] == (["batch"] if named else [])
        for hotspot in result["hotspots"]:
            assert set(hotspot["label_nmi"]) == set(told)
        metrics = CliRunner().invoke(cli, ["metrics", result["id"], *place])
        assert metrics.exit_code == 0, metrics.exception
        assert json.loads(metrics.stdout)["factors"] == told
        app = app_of(EnsembleStore(tmp_path / "here"), tmp_path / "cache")
        words = Tab(app, f"/ensemble/{result['id']}", "?pair=0.0,1.0").words
        assert f"Colour {' '.join(told)}" in words
    assert len(set(ids)) == 1


def test_a_list_trains_a_sweep_that_takes_over_what_is_there_and_draws_its_atlas(tmp_path: Path) -> None:
    # So large a β leaves no live channel: nothing to lay out, and the test is quick.
    arguments = ["train", *TINY, "--workspace", str(tmp_path), "--json", "--beta"]
    alone = json.loads(vaefrag(*arguments, "900").stdout)
    done = vaefrag(*arguments, "900, 400")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["value"] for row in result["ensembles"]] == [400, 900]
    assert result["ensembles"][1] == {
        "value": 900,
        **{name: alone[name] for name in result["ensembles"][1] if name != "value"},
    }
    assert sorted(EnsembleStore(tmp_path).ids()) == sorted(row["id"] for row in result["ensembles"])
    assert [point["value"] for point in result["atlas"]["points"]] == [400, 900]
    again = vaefrag("atlas", result["sweep"], "--workspace", str(tmp_path), "--json")
    assert json.loads(again.stdout) == result["atlas"]
    assert "digits beta-vae, β 400 to 900" in again.stderr


def test_analyze_gives_the_hotspots_of_the_measure_asked_for(own: Trained) -> None:
    done = vaefrag("analyze", own.id, "--measure", "vi", "--workspace", str(own.store.workspace), "--json")
    result = json.loads(done.stdout)
    expected = own.store.analysis(own.id).hotspots["vi"].groups
    assert result["measure"] == "vi"
    assert [group["size"] for group in result["hotspots"]] == [group.size for group in expected]
    assert result["channels"] == 36
    assert result["ceiling_bits"] == pytest.approx(8.2288, abs=1e-4)
    assert 0 < result["nmi_by_chance"] < 0.1
    for group in result["hotspots"]:
        assert group["mean_nmi_by_chance"] < group["mean_nmi_corrected"] < group["mean_nmi"]


def test_analyze_says_which_estimator_it_used(own: Trained) -> None:
    place = ("--workspace", str(own.store.workspace))
    results = [
        json.loads(vaefrag("analyze", own.id, "--estimator", name, *place, "--json").stdout)
        for name in ("exact", "bound")
    ]
    assert [result["estimator"] for result in results] == ["exact", "bound"]
    assert 0 < results[0]["integration_error_bits"] < 1e-4
    assert results[1]["integration_error_bits"] == 0


def test_full_spaces_are_compared_with_error_bars(own: Trained) -> None:
    place = ("--workspace", str(own.store.workspace))
    done = vaefrag("analyze", own.id, "--space", "full", "--draws", "200", *place, "--json")
    result = json.loads(done.stdout)
    nmi, error = np.array(result["nmi"]), np.array(result["nmi_error"])
    assert result["members"] == list(range(6))
    assert nmi.shape == error.shape == (6, 6)
    np.testing.assert_array_equal(nmi.diagonal(), 1)
    apart = ~np.eye(6, dtype=bool)
    assert (nmi[apart] > 0.3).all()
    assert (error[apart] > 0).all()
    assert (error[apart] < 0.1).all()
    assert max(result["information_bits"]) <= result["input_bits"]
    assert "Above the diagonal VI in bits, below it NMI" in done.stderr


def test_metrics_of_every_member_for_scripts_and_for_people(own: Trained) -> None:
    arguments = ["metrics", own.id, "--workspace", str(own.store.workspace)]
    result = json.loads(vaefrag(*arguments, "--json").stdout)
    assert [row["member"] for row in result["members"]] == list(range(6))
    shown = [row["informativeness"] for row in result["members"]]
    assert result["mean"]["informativeness"] == pytest.approx(sum(shown) / 6)
    assert min(shown) > 0.5  # ten digits: chance is 0.1
    assert result["spread"]["udr"] > 0
    assert result["mean"]["factorvae"] is None  # one factor
    table = vaefrag(*arguments)
    assert table.returncode == 0
    assert f"{result['mean']['mig']:.2f}" in table.stderr
    assert "spread" in table.stderr


def test_datasets_are_listed() -> None:
    names = [entry["name"] for entry in json.loads(vaefrag("datasets", "--json").stdout)["datasets"]]
    assert {"digits", "sprites", "fashion-mnist", "mnist"} <= set(names)


def test_bench_times_simpler_ways_in_the_same_run() -> None:
    result = json.loads(vaefrag("bench", "measures", "--quick", "--repeats", "1", "--json").stdout)
    (row,) = result["rows"]
    assert (row["channels"], row["images"]) == (200, 300)
    assert row["loop_ratio"] == pytest.approx(row["loop_seconds"] / row["seconds"])
    assert row["loop_ratio"] > 10
    assert 0 < row["peak_megabytes"] < 1000


def test_bench_times_training_against_a_plain_loop_to_the_same_loss() -> None:
    result = json.loads(vaefrag("bench", "train", "--quick", "--threads", "1", "--repeats", "1", "--json").stdout)
    (row,) = result["rows"]
    assert (row["architecture"], row["dataset"], row["members"]) == ("mlp", "digits", 16)
    assert row["ratio"] == pytest.approx(row["steps_per_second"] / row["plain_steps_per_second"])
    assert abs(row["loss"] - row["plain_loss"]) < 1.0  # of 26; after 200 steps runs differ by about 0.3
    (rough,) = result["precision"]
    assert (rough["architecture"], rough["members"], rough["steps"]) == ("mlp", 6, 50)
    assert rough["difference"] == pytest.approx(rough["bfloat16_loss"] - rough["loss"])
    assert 0 < abs(rough["difference"]) < rough["noise"]  # the same seeds, so closer to each other than seeds are
    assert rough["cpu_ratio"] > 0


COMMANDS = [
    "demo",
    "train",
    "list",
    "analyze",
    "metrics",
    "combine",
    "fuse",
    "atlas",
    "import",
    "export",
    "datasets",
    "bench",
    "serve",
    "health",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_speaks_json(command: str) -> None:
    done = vaefrag(command, "--help")
    assert done.returncode == 0
    assert "--json" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--dataset", "digts"], "Did you mean 'digits'"),
        (["train", "--beta", "-1"], "error: --beta: expected a value greater than or equal to 0, got -1."),
        (
            ["train", "--objective", "annealed-vae", "--capacity", "1,2", "--gamma", "1,2"],
            "error: --capacity, --gamma: expected a list of one coefficient, got lists of capacity_nats and gamma.",
        ),
        (["train", "--members", "0"], "error: --members: expected a value greater than or equal to 1, got 0."),
        (["train", "--widths", "a"], "error: --widths: expected a whole number, got 'a'."),
        (
            ["train", "--fingerprint-size", "1"],
            "error: --fingerprint-size: expected a value greater than or equal to 2",
        ),
        (
            ["train", "--fingerprint-size", "5000"],
            "--fingerprint-size: The fingerprint asks for 5,000 images; 'digits'",
        ),
        (["analyze", "x", "--space", "full", "--draws", "5"], "error: --draws: expected a value greater than or equal"),
        (["metrics", "nothing"], "There is no ensemble 'nothing'"),
        (["analyze", "nothing"], "There is no ensemble 'nothing'"),
        (
            ["analyze", "nothing", "--cohesion", "2"],
            "error: --cohesion: expected a value less than or equal to 1, got 2.0.",
        ),
        (
            ["analyze", "nothing", "--bootstrap", "-3"],
            "error: --bootstrap: expected a value greater than or equal to 0",
        ),
        (
            ["analyze", "nothing", "--seed", "-1"],
            "error: --seed: expected a value greater than or equal to 0, got -1.\n",
        ),
        (
            ["atlas", "nothing", "--min-nmi", "2"],
            "error: --min-nmi: expected a value less than or equal to 1, got 2.0.",
        ),
        (["atlas", "nothing", "--min-nmi", "-1"], "error: --min-nmi: expected a value greater than or equal to 0"),
    ],
)
def test_wrong_input_is_one_clear_line_and_an_exit_code(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = vaefrag(*arguments, "--workspace", str(tmp_path), "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_at_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["train", *TINY, "--steps", "400000", "--workspace", str(tmp_path), "--workers", "1", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "vaefrag", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: any(tmp_path.glob("ensembles/*/members/*/checkpoint.safetensors")))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert "Repeat the same command to go on" in errors


@contextmanager
def served(workspace: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a workspace by the command; gives its process and its address."""
    arguments = ["serve", "--port", "0", "--no-browser", "--json", "--workspace", str(workspace), *options]
    with subprocess.Popen(
        [sys.executable, "-m", "vaefrag", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(timeout=20)


def fetch(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_when_it_is_told(trained: Trained, number: signal.Signals) -> None:
    with served(trained.store.workspace) as (process, url):
        assert json.loads(fetch(f"{url}healthz"))["web"] is True
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 5


def test_what_is_served_loads_no_learning_library_and_starts_no_engine(trained: Trained, tmp_path: Path) -> None:
    with served(trained.store.workspace, "--no-engine", VAEFRAG_CACHE_DIR=str(tmp_path)) as (process, url):
        picture = fetch(f"{url}data/matrix/{trained.id}/nmi/tile.png")
        assert picture.startswith(b"\x89PNG")
        family = [process.pid, *children(process.pid)]
        assert len(family) == 2  # the process that watches, and the one that answers
        maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in family)
        assert "/numpy/" in maps
        assert not re.search("libtorch|/sklearn/|/numba/", maps)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_process_that_dies_is_replaced(trained: Trained) -> None:
    with served(trained.store.workspace, "--no-engine") as (process, url):
        fetch(f"{url}healthz")
        (first,) = children(process.pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: children(process.pid) not in ([first], []))
        assert json.loads(fetch(f"{url}healthz"))["web"] is True


def test_half_open_requests_hold_nobody_up_and_are_cut_off(trained: Trained) -> None:
    halves = (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-", b"POST /sign-in HTTP/1.1\r\nContent-Length: 99\r\n\r\ntoken=")
    with (
        served(trained.store.workspace, "--no-engine", VAEFRAG_REQUEST_SECONDS="4") as (_, url),
        ExitStack() as stack,
    ):
        fetch(url)
        where = urlsplit(url)
        began = time.monotonic()
        held = [stack.enter_context(socket.create_connection((where.hostname, where.port), 20)) for _ in range(40)]
        for number, connection in enumerate(held):
            connection.sendall(halves[number % 2])
        assert json.loads(fetch(f"{url}healthz"))["web"] is True
        assert b"vaefrag" in fetch(url)
        assert time.monotonic() - began < 4  # else they may have been cut off already
        trickle, *silent = held
        with suppress(OSError):
            while time.monotonic() - began < 20:  # one that goes on, byte by byte, has no more time than others
                trickle.sendall(b"a")
                if select.select([trickle], [], [], 0.2)[0]:
                    assert trickle.recv(1) == b""
                    break
        assert 4 < time.monotonic() - began < 10
        assert all(connection.recv(1) == b"" for connection in silent)


def test_without_a_token_nothing_is_served_to_others(tmp_path: Path) -> None:
    for command in (["serve"], ["demo", "--members", "2", "--steps", "50"]):
        done = vaefrag(*command, "--host", "0.0.0.0", "--no-browser", "--workspace", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "only with an access token" in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_a_new_token_is_kept_and_lets_in(tmp_path: Path) -> None:
    with served(tmp_path, "--no-engine", "--new-token", "--host", "0.0.0.0") as (_, url):
        assert url.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{url}_dash-layout")
        token = (tmp_path / "token").read_text().strip()
        assert b"MantineProvider" in fetch(f"{url}_dash-layout", Authorization=f"Bearer {token}")


def test_health_is_an_exit_code(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, "--no-engine", VAEFRAG_URL_PREFIX="/lab/") as (_, url):
        monkeypatch.setenv("VAEFRAG_PORT", str(urlsplit(url).port))
        for prefix in ("/", "/lab/"):
            monkeypatch.setenv("VAEFRAG_URL_PREFIX", prefix)
            assert json.loads(vaefrag("health", "--json").stdout)["web"] is True
    dead = vaefrag("health", "--json")
    assert (dead.returncode, dead.stdout) == (1, "")
    assert "/lab/healthz, got no answer of theirs" in dead.stderr
    no_engine = vaefrag("health", "--engine", "--workspace", str(tmp_path))
    assert (no_engine.returncode, "has no engine" in no_engine.stderr) == (1, True)


@pytest.mark.parametrize("command", [["serve"], ["serve", "--new-token"], ["demo", "--members", "2", "--steps", "50"]])
def test_a_port_that_is_taken_is_named_before_anything_is_done(tmp_path: Path, command: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = vaefrag(*command, "--port", port, "--no-browser", "--workspace", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert list(tmp_path.iterdir()) == []
