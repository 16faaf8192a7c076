"""What a browser is sent: compressed, and under names that it may keep."""

import gzip
import json
import re
from urllib.parse import urljoin

import pytest

from tests.web.site import Site

YEAR = "max-age=31536000, public, immutable"
SCHEMA = "/api/schema/"
JSON_OR_HTML = "text/html, application/json"
EXPORT = "/api/monitoring/sensors/3/measurements/export/"
HASHED = re.compile(r"\.[0-9a-f]{12}\.[a-z0-9]+\Z")


@pytest.fixture(scope="module")
def built(site: Site) -> Site:
    """With its static files collected, as `make run` and the containers have it."""
    site.kill()
    site.manage("collectstatic", "--noinput", "-v0")
    site.start()
    return site


@pytest.mark.parametrize("page", ["/admin/login/", "/api/docs/"])
def test_what_a_page_needs_is_kept_for_a_year_under_a_name_of_its_content(built: Site, page: str) -> None:
    client = built.client()
    files = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get(page).body.decode()))
    assert any(file.endswith(".css") for file in files)
    assert any(file.endswith(".js") for file in files)
    while files:
        file = files.pop()
        answer = client.get(file)
        assert answer.status == 200, file
        assert HASHED.search(file), file
        assert answer.headers["Cache-Control"] == YEAR, file
        if file.endswith(".css"):
            named = re.findall(r"url\(['\"]?([^)'\"#?]+)", answer.body.decode())
            files |= {urljoin(file, name) for name in named if not name.startswith("data:")}


def test_static_files_are_compressed(built: Site) -> None:
    client = built.client()
    (file, *_) = re.findall(r'href="(/static/[^"]+\.css)"', client.get("/admin/login/").body.decode())
    packed = client.get(file, Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == client.get(file).body


def test_html_and_json_are_compressed_for_whoever_takes_it(built: Site) -> None:
    client = built.client()
    for path in ("/admin/login/", SCHEMA):
        plain = client.get(path, Accept=JSON_OR_HTML)
        packed = client.get(path, Accept=JSON_OR_HTML, Accept_Encoding="br, gzip")
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(packed.body) == int(packed.headers["Content-Length"]) < len(plain.body) / 2
        for answer in (plain, packed):
            assert "Accept-Encoding" in answer.headers["Vary"]
    assert json.loads(gzip.decompress(packed.body)) == json.loads(plain.body)


def test_the_length_of_an_answer_tells_nothing_exact_of_what_is_in_it(built: Site) -> None:
    """BREACH guesses a secret by how well an answer compresses in which the guess comes back."""
    client = built.client()
    answers = [client.get(SCHEMA, Accept_Encoding="gzip").body for _ in range(10)]
    assert len({gzip.decompress(answer) for answer in answers}) == 1
    assert len({len(answer) for answer in answers}) > 1


def test_a_stream_is_sent_as_it_comes(built: Site) -> None:
    answer = built.client().get(EXPORT, Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.body.startswith(b"sensor,created_at")


def test_there_is_a_favicon(built: Site) -> None:
    client = built.client()
    (named,) = re.findall(r'<link rel="icon" href="([^"]+)"', client.get("/admin/login/").body.decode())
    assert client.get(named).headers["Content-Type"] == "image/svg+xml"
    unasked = client.get("/favicon.ico")
    assert unasked.status == 302
    file = client.get(unasked.headers["Location"])
    assert file.body.startswith(b"\x00\x00\x01\x00")
    assert file.headers["Cache-Control"] == YEAR
