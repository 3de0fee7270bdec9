"""nginx and haproxy in front of our server, configured as the guide `deploying` shows."""

import re
import socket
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "src/guide/deploying.md"
HOST = "127.0.0.2"
"""No other program uses this address: a port that is free stays free until a gateway binds it."""

used: set[int] = set()


def free_port() -> int:
    """A port that no other cell has got."""
    while True:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
        if port not in used:
            used.add(port)
            return port


def block(language: str, first_line: str) -> str:
    """The one block of the guide in `language` that starts with a certain line."""
    pattern = rf"^```{language}\n({re.escape(first_line)}\n.*?)^```$"
    found = re.findall(pattern, GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"the guide has {len(found)} blocks that start with {first_line!r}"
    return found[0]


def replace(text: str, pairs: dict[str, str]) -> str:
    """Replaces what has to be there."""
    for old, new in pairs.items():
        assert old in text, f"the guide's configuration lacks {old!r}"
        text = text.replace(old, new)
    return text


class Nginx:
    name = "nginx"
    binary = "/usr/sbin/nginx"

    @staticmethod
    def command(configuration: Path) -> list[str]:
        return [Nginx.binary, "-e", "stderr", "-c", str(configuration)]

    @staticmethod
    def configuration(folder: Path, port: int, tls: Path | None, upstream: str) -> str:
        """The guide's server, in a file that needs no folder but its own."""
        guide = block("nginx", "map $http_upgrade $connection_upgrade {")
        certificate = f"    ssl_certificate {tls};\n    ssl_certificate_key {tls};\n"
        changes = {
            "    listen 443 ssl;\n": f"    listen {HOST}:{port} ssl;\n{certificate}"
            if tls
            else f"    listen {HOST}:{port};\n",
            "http://127.0.0.1:9001;": f"http://{upstream};",
        }
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""daemon off;
master_process off;
pid {folder}/pid;
events {{}}
http {{
access_log off;
{temporary}
{replace(guide, changes)}}}
"""


class Haproxy:
    name = "haproxy"
    binary = "/usr/sbin/haproxy"

    @staticmethod
    def command(configuration: Path) -> list[str]:
        return [Haproxy.binary, "-db", "-f", str(configuration)]

    @staticmethod
    def configuration(folder: Path, port: int, tls: Path | None, upstream: str) -> str:
        """The guide's frontend and backend, which need no folder."""
        del folder
        guide = block("text", "frontend app")
        certificate = "ssl crt /etc/haproxy/app.pem alpn h2,http/1.1"
        changes = {
            f"bind :443 {certificate}": f"bind {HOST}:{port} "
            + (certificate.replace("/etc/haproxy/app.pem", str(tls)) if tls else ""),
            "127.0.0.1:9001\n": f"{upstream}\n",
        }
        return replace(guide, changes)
