"""The fake upstreams of the benchmark: nginx says the whole answer, a small Node server streams it."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench_texts import probe_answer, stream_script, whole_answer
from loadtests.children import HOST, BenchError, free_port, running

NODE_SCRIPT = Path(__file__).resolve().parent / "stream_upstream.mjs"


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that the benchmark needs and doesn't install."""

    wrk: str
    nginx: str
    node: str


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Addresses of the two fake upstreams, without /v1."""

    whole: str
    stream: str


def find_tools() -> Tools:
    """Where the programs are. Raises BenchError naming what is missing and its package."""
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
    found = {name: shutil.which(name, path=path) or shutil.which(name) for name in ("wrk", "nginx", "node")}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        raise BenchError(
            f"{' and '.join(missing)} not found; `apt-get install wrk nginx`, and `make setup` for node. 缺少压测工具。"
        )
    return Tools(**{name: str(where) for name, where in found.items()})


@contextlib.contextmanager
def upstreams(tools: Tools, folder: Path) -> Iterator[Upstreams]:
    """Run both while the block runs."""
    with nginx_upstream(tools.nginx, folder) as whole, node_upstream(tools.node, folder) as stream:
        yield Upstreams(whole, stream)


@contextlib.contextmanager
def nginx_upstream(nginx: str, folder: Path) -> Iterator[str]:
    """A fixed chat completion on every path, and a text completion for probes."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(nginx_config(folder, port), encoding="utf-8")
    command = [nginx, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx.log")]
    with running(command, folder / "nginx.log", port=port, ready_path="/health"):
        yield f"http://{HOST}:{port}"


def nginx_config(folder: Path, port: int) -> str:
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
{temporary}
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    default_type application/json;
    server {{
        listen {HOST}:{port};
        location / {{ return 200 '{whole_answer()}'; }}
        location = /v1/completions {{ return 200 '{probe_answer()}'; }}
    }}
}}
"""


@contextlib.contextmanager
def node_upstream(node: str, folder: Path) -> Iterator[str]:
    """The answer as events, each written by itself."""
    port = free_port()
    script = folder / "stream.json"
    script.write_text(json.dumps(stream_script()), encoding="utf-8")
    command = [node, str(NODE_SCRIPT), str(port), str(script)]
    with running(command, folder / "node.log", port=port, ready_path="/health"):
        yield f"http://{HOST}:{port}"
