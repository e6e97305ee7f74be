"""Everyday visitors of the shop, and the benign oddities that training never shows."""

from __future__ import annotations

import base64
import http.client
import json
import random
import subprocess
import time
from collections.abc import Callable
from urllib.parse import quote_plus, urlencode

from recording.labels import ODDITY, Truth
from recording.network import Crew, Host, Phase, seeded

SITE = "192.0.2.10"
CUSTOMERS = [f"198.51.100.{n}" for n in range(11, 35)]
PHONES = [f"198.51.100.{n}" for n in range(61, 67)]
NEW = [f"198.51.100.{n}" for n in range(201, 221)]  # first seen in val and test
FEED_READER, PARTNER, PROBE, MARIA, TOMAS = "198.51.100.71", "198.51.100.72", "192.0.2.40", "192.0.2.51", "192.0.2.52"
PLACES = {
    "customers": [*CUSTOMERS, *PHONES, FEED_READER, *NEW],
    "partner": [PARTNER],
    "probe": [PROBE],
    "office": [MARIA, TOMAS],
}

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
BROWSERS = [
    f"{_WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    f"{_WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36 Edg/123.0.2420.97",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
    "Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile "
    "Safari/537.36",
]
APPS = ["HarbourLights/2.3.1 (Android 13; Pixel 6) okhttp/4.12.0", "HarbourLights/2.3.0 (iOS 17.4; iPhone14,5)"]
CRAWLER = "Mozilla/5.0 (compatible; ExampleBot/2.1; +http://bot.example/about)"
CATEGORIES = ["lamps", "desks", "chairs", "rugs", "shelves"]
WORDS = ["oak", "brass", "linen", "walnut", "lamp", "desk", "chair", "rug", "shelf", "small", "round", "grey", "office"]
WORDS += ["reading", "bedside", "dining", "outdoor", "kids", "corner", "spare bulb", "120cm", "led"]


class Client:
    """One visitor: an address, an agent, and what its browser keeps (connection, cookie, cache).

    Args:
        port: Source port of every connection, from `Truth.mark`; 0 lets the kernel pick, as everyday traffic does.
    """

    def __init__(self, address: str, agent: str, port: int = 0) -> None:
        self._source = (address, port)
        self.agent = agent
        self._cookie = ""
        self._etags: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        self._connection = http.client.HTTPConnection(SITE, timeout=20, source_address=self._source)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def send(
        self, method: str, path: str, body: str | None = None, referer: str = "", headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send one request; a redirect is followed as a browser does."""
        sent = {"Host": "shop.example", "User-Agent": self.agent, "Accept": "*/*"}
        if referer:
            sent["Referer"] = referer if "://" in referer else f"http://shop.example{referer}"
        if self._cookie:
            sent["Cookie"] = self._cookie
        if body is not None:
            sent["Content-Type"] = "application/json" if body[:1] in "{[" else "application/x-www-form-urlencoded"
        if path in self._etags:
            sent["If-None-Match"] = self._etags[path]
        sent |= headers or {}
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        except (ConnectionError, http.client.HTTPException):  # the server let an idle connection go
            self._connection.close()
            self._open()
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        answer.read()
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.split(";")[0]
        if (etag := answer.getheader("ETag")) and answer.status == 200:
            self._etags[path] = etag
        if answer.status in (302, 303) and (target := answer.getheader("Location")):
            self.send("GET", target, referer=path)
        return answer

    def page(self, path: str, referer: str = "", pictures: tuple[int, ...] = ()) -> http.client.HTTPResponse:
        """Load a page and, where the cache does not hold them or asks again, its files."""
        answer = self.send("GET", path, referer=referer)
        files = ["/static/site.css", "/static/site.js", "/static/logo.png"]
        for file in [*files, *(f"/static/products/{n}.png" for n in pictures)]:
            if file not in self._etags or random.random() < 0.06:  # noqa: S311  # the cache grows old by chance
                self.send("GET", file, referer=path)
        return answer


def start(crew: Crew, places: dict[str, Host], phase: Phase, truth: Truth, seed: int) -> None:
    """Send everyone of one phase on their way."""
    customers = places["customers"]
    for number, address in enumerate(CUSTOMERS):
        agent = BROWSERS[number % len(BROWSERS)]
        crew.start(customers, _browse, phase, address, agent, seeded(seed, phase.name, address), number)
    for number, address in enumerate(PHONES):
        crew.start(customers, _use_app, phase, address, APPS[number % 2], seeded(seed, phase.name, address))
    crew.start(customers, _read_feed, phase)
    crew.start(places["partner"], _run_jobs, phase, seeded(seed, phase.name, "partner"))
    crew.start(places["probe"], _probe, phase)
    for address, name, password in ((MARIA, "maria", "fake-office-1"), (TOMAS, "tomas", "fake-office-2")):
        crew.start(places["office"], _work, phase, address, f"{name}:{password}", seeded(seed, phase.name, address))
    actions = {"train": 0, "val": 24, "test": 150}[phase.name]
    crew.start(customers, _be_odd, phase, truth, seeded(seed, phase.name, "oddities"), actions)


def _pictures(rng: random.Random, count: int) -> tuple[int, ...]:
    return tuple(rng.sample(range(1, 61), count))


def _browse(phase: Phase, address: str, agent: str, rng: random.Random, number: int) -> None:
    """A customer: visits of a few pages, some of them logged in."""
    time.sleep(rng.uniform(0, 3))
    while not phase.over:
        client = Client(address, agent)
        came_from = rng.choice(
            ["", "", "https://www.google.com/", "https://duckduckgo.com/", "https://news.example/home"]
        )
        path = rng.choice(["/", "/", "/products.php", f"/product.php?id={rng.randint(1, 60)}"])
        client.page(path, came_from, _pictures(rng, rng.randint(0, 3)))
        if rng.random() < 0.35:
            client.page("/login.php", path)
            form = urlencode({"user": f"customer{number + 1}", "password": f"fake-password-{number + 1}"})
            client.send("POST", "/login.php", form, "/login.php")
            path = "/account.php"
        for _ in range(rng.randint(2, 8)):
            if phase.over:
                break
            path = _step(client, path, rng)
            time.sleep(rng.uniform(0.2, 2.6))
        if path == "/account.php":
            client.send("GET", "/logout.php", referer=path)
        client.close()


def _step(client: Client, referer: str, rng: random.Random) -> str:
    """One click; returns the page it led to."""
    product = rng.randint(1, 60)
    kind = rng.choices(
        ["list", "product", "search", "stock", "cart", "checkout", "contact", "download", "home"],
        [20, 25, 18, 9, 9, 3, 3, 4, 6],
    )[0]
    if kind == "list":
        query = {"category": rng.choice(CATEGORIES)}
        if rng.random() < 0.4:
            query["sort"] = rng.choice(["price", "new"])
        if rng.random() < 0.4:
            query["page"] = str(rng.randint(1, 2))
        path = f"/products.php?{urlencode(query)}"
        client.page(path, referer, _pictures(rng, rng.randint(0, 3)))
    elif kind == "search":
        words = " ".join(rng.sample(WORDS, rng.randint(1, 3)))
        path = f"/search.php?q={quote_plus(words)}"
        client.page(path, referer)
    elif kind == "stock":
        path = f"/product.php?id={product}"
        client.page(path, referer, (product,))
        client.send("GET", f"/api/v1/products/{product}/stock", referer=path)
    elif kind == "cart":
        path = "/cart.php"
        client.send("POST", path, urlencode({"id": product}), f"/product.php?id={product}")
    elif kind == "checkout":
        path = "/checkout.php"
        client.page(path, "/cart.php")
        client.send("POST", path, urlencode({"pay": "invoice"}), path)
    elif kind == "contact":
        path = "/contact.php"
        client.page(path, referer)
        client.send("POST", path, urlencode({"message": f"Is number {product} back soon?"}), path)
    elif kind == "download":
        path = referer
        client.send(
            "GET", f"/download.php?file={rng.choice(['catalogue', 'terms', 'care-guide'])}.pdf", referer=referer
        )
    else:
        path = "/" if kind == "home" else f"/product.php?id={product}"
        client.page(path, referer, (product,) if kind == "product" else ())
    return path


def _use_app(phase: Phase, address: str, agent: str, rng: random.Random) -> None:
    """The shop's own app: JSON only."""
    client = Client(address, agent)
    while not phase.over:
        kind = rng.randrange(8)
        if kind < 2:
            client.send("GET", f"/api/v1/products?page={rng.randint(1, 5)}")
        elif kind < 7:
            client.send("GET", f"/api/v1/products/{rng.randint(1, 60)}")
        else:
            client.send("POST", "/api/v1/cart", json.dumps({"id": rng.randint(1, 60), "count": rng.randint(1, 3)}))
        time.sleep(rng.uniform(0.3, 1.6))


def _read_feed(phase: Phase) -> None:
    client = Client(FEED_READER, "FreshRSS/1.23.1 (Linux; https://freshrss.org)")
    while not phase.over:
        client.send("GET", "/feed.xml")
        time.sleep(5)


def _run_jobs(phase: Phase, rng: random.Random) -> None:
    """A partner's script: real curl, real wget."""
    while not phase.over:
        since = f"2024-05-{rng.randint(1, 28):02d}"
        _quiet("curl", "-s", "-H", "X-Token: not-a-secret", f"http://{SITE}/api/v1/orders?since={since}")
        if rng.random() < 0.3:
            _quiet("wget", "-q", "-O", "/dev/null", f"http://{SITE}/download.php?file=catalogue.pdf")
        time.sleep(3)


def _probe(phase: Phase) -> None:
    while not phase.over:
        client = Client(PROBE, "check_http/v2.3.3 (monitoring-plugins 2.3.3)")
        client.send("GET", "/health", headers={"Connection": "close"})
        client.close()
        time.sleep(2)


def _work(phase: Phase, address: str, account: str, rng: random.Random) -> None:
    """The office behind basic authentication."""
    login = {"Authorization": "Basic " + base64.b64encode(account.encode()).decode()}
    client = Client(address, BROWSERS[3])
    while not phase.over:
        path = rng.choice(["orders?state=open", "orders?state=sent", f"order?id={rng.randint(1000, 1999)}", "stock"])
        client.send("GET", f"/admin/{path}", referer="/admin/", headers=login)
        time.sleep(rng.uniform(1, 4))


def _quiet(*command: str) -> None:
    subprocess.run(command, capture_output=True, timeout=30)


def _be_odd(phase: Phase, truth: Truth, rng: random.Random, actions: int) -> None:
    """Spread benign oddities over a phase, each on a connection of its own."""
    kinds = list(_ODDITIES.items())
    for number in range(actions):
        phase.wait((number + rng.random()) / actions * 0.97)
        kind, act = kinds[number % len(kinds)]
        address = rng.choice(NEW if kind in ("new_client", "crawler") else CUSTOMERS)
        client = Client(address, rng.choice(BROWSERS), truth.mark(address, ODDITY + kind))
        act(client, rng)
        client.close()


def _ask(
    *paths: str, method: str = "GET", agent: str = "", headers: dict[str, str] | None = None
) -> Callable[..., None]:
    """An oddity that is one odd request."""

    def act(client: Client, rng: random.Random) -> None:
        client.agent = agent or client.agent
        client.send(method, rng.choice(paths), headers=headers)

    return act


def _mistype(client: Client, rng: random.Random) -> None:
    number = rng.randint(1, 24)
    form = urlencode({"user": f"customer{number}", "password": f"fake-pasword-{number}"})
    client.send("POST", "/login.php", form, "/login.php")


def _visit_new(client: Client, rng: random.Random) -> None:
    client.agent = rng.choice(
        [
            "Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8",
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) TV Safari/537.36",
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 "
            "Safari/537.36",
        ]
    )
    client.send("GET", "/", referer="https://search.example/?q=lamps")
    client.send("GET", f"/product.php?id={rng.randint(1, 60)}", referer="/")


def _crawl(client: Client, rng: random.Random) -> None:
    client.agent = CRAWLER
    client.send("GET", "/robots.txt")
    client.send("GET", f"/products.php?category={rng.choice(CATEGORIES)}")


_ODDITIES: dict[str, Callable[..., None]] = {
    "broken_link": _ask(
        "/old/products.html", "/static/products/75.png", "/blog/2019/harbour-days", "/products.php/lamps"
    ),
    "favicon": _ask("/favicon.ico", "/apple-touch-icon.png"),
    "robots": _ask("/robots.txt", "/sitemap.xml", "/.well-known/security.txt", agent="Wget/1.21.3"),
    "crawler": _crawl,
    "old_bookmark": _ask("/shop/index.html", "/index.php?page=lamps", "/product.php?id=977"),
    "punctuation": _ask(
        *(
            f"/search.php?q={quote_plus(q)}"
            for q in ("O'Brien lamp", "100% linen", "desk & chair (oak)", "café <small>")
        ),
        "/search.php?q=rug+--+blue%3B+round",
    ),
    "mistyped_password": _mistype,
    "mistyped_address": _ask(
        "/Products.php", "/contact.php%20", "/product.php?id=", "//cart.php", "/api/v1/product/12"
    ),
    "expired_session": _ask("/account.php", "/checkout.php"),
    "new_client": _visit_new,
    "resumed_download": _ask("/static/products/12.png", "/static/products/40.png", headers={"Range": "bytes=1000-"}),
    "head": _ask("/", "/feed.xml", method="HEAD", agent="LinkChecker/10.2"),
    "preflight": _ask("/api/v1/products", "/api/v1/cart", method="OPTIONS"),
    "campaign": _ask(
        "/?utm_source=newsletter&utm_campaign=spring", "/products.php?category=rugs&fbclid=IwAR0Example1x"
    ),
    "no_token": _ask("/api/v1/orders?since=2024-05-01", agent="curl/7.88.1"),
}
