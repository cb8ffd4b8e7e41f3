"""Input files: local paths, URIs, base64, and permitted downloads."""

from __future__ import annotations

import base64
import http.server
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from urllib.parse import quote, urlsplit

import pytest

from engine.errors import ParameterError
from engine.jobs import download as download_module
from engine.jobs.download import is_public
from engine.jobs.inputs import InputResolver, downloads_allowed
from engine.jobs.job_store import Job
from engine.jobs.results import encode_base64, parse_output, prepare_partial

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
MP4 = b"\0\0\0\x20ftypisom" + bytes(100)
MKV = b"\x1a\x45\xdf\xa3" + bytes(100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    made.mkdir()
    return made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a face, 100%.png"
    path.write_bytes(PNG)
    return path


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_path_stays_where_it_is_and_becomes_absolute(
    picture: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(picture.parent)
    assert InputResolver().resolve("target", picture.name, folder) == picture
    assert InputResolver().resolve("target", str(picture), folder) == picture
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://", "file:"])
def test_a_file_uri_is_a_path(picture: Path, folder: Path, start: str) -> None:
    uri = start + quote(str(picture))
    assert InputResolver().resolve("target", uri, folder) == picture
    assert picture.as_uri().startswith("file:///")


@pytest.mark.parametrize(
    "uri",
    [
        "file://elsewhere/a.png",
        "file:a.png",
        "file:///no such.png",
        "file:///a%00b.png",
        "ftp://example.org/a.png",
        "s3://bucket/a.png",
        "no such file.png",
        "x" * 100_000,
        "a\0b",
        ".",
        "data:image/png;base64",
        "data:image/png;base64,????",
        "data:image/png;base64,AAA=A",
        "data:text/plain;base64,",
        "data:,hello",
        "data:application/x-unheard-of;base64,AAAA",
    ],
)
def test_what_is_no_file_is_refused_by_its_field(folder: Path, uri: str) -> None:
    with pytest.raises(ParameterError, match=r"^source_image ") as raised:
        InputResolver().resolve("source_image", uri, folder)
    assert len(str(raised.value)) < 300
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "suffix"), [(PNG, ".png"), (JPEG, ".jpg"), (MP4, ".mp4"), (MKV, ".mkv")]
)
@pytest.mark.parametrize(
    "write",
    [
        text,
        lambda content: text(content).rstrip("="),
        lambda content: base64.urlsafe_b64encode(content).decode(),
        lambda content: base64.encodebytes(content).decode(),
        lambda content: f"data:application/octet-stream;base64,{text(content)}",
        lambda content: f"data:;base64,{quote(text(content))}",
        lambda content: f"DATA:image/x;charset=x;BASE64,{text(content)}",
        lambda content: f"data:image/x,{quote(content)}",
    ],
)
def test_base64_is_written_to_the_jobs_folder(
    folder: Path, content: bytes, suffix: str, write: object
) -> None:
    assert callable(write)
    path = InputResolver().resolve("target", write(content), folder)
    assert path == folder / f"target{suffix}"
    assert path.read_bytes() == content


def test_the_kind_of_a_data_uri_serves_where_no_signature_does(folder: Path) -> None:
    path = InputResolver().resolve("target", f"data:video/mpeg;base64,{text(bytes(99))}", folder)
    assert path.name == "target.mpeg"


def test_a_long_path_is_no_base64(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / ("a" * 80) / ("b" * 80)
    path.parent.mkdir()
    path.write_bytes(PNG)
    assert InputResolver().resolve("target", str(path), folder) == path


@pytest.mark.parametrize(
    "value", [" " * 1_000_000, " " * 1_000_000 + "!", "A" * 1_000_000 + "!", "a:" * 500_000]
)
def test_a_megabyte_of_anything_is_judged_at_once(folder: Path, value: str) -> None:
    began = time.process_time()
    with pytest.raises(ParameterError, match=r"^target "):
        InputResolver().resolve("target", value, folder)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 7, 3 << 19, 2_000_003])
def test_what_is_decoded_in_pieces_is_whole(folder: Path, size: int) -> None:
    content = JPEG + bytes(n % 251 for n in range(size))
    for value in (text(content), base64.encodebytes(content).decode(), f"data:,{quote(content)}"):
        assert InputResolver().resolve("target", value, folder).read_bytes() == content


def test_base64_is_decoded_without_holding_it_again(folder: Path) -> None:
    uri = f"data:image/jpeg;base64,{text(JPEG + bytes(20_000_000))}"
    tracemalloc.start()
    try:
        InputResolver().resolve("target", uri, folder)
        assert tracemalloc.get_traced_memory()[1] < len(uri) / 2
    finally:
        tracemalloc.stop()


def test_too_much_is_refused(folder: Path) -> None:
    with pytest.raises(ParameterError, match="more than 100 bytes"):
        InputResolver(max_bytes=100).resolve("target", text(PNG), folder)


@pytest.mark.parametrize("url", ["http://example.org/a.jpg", "HTTPS://example.org/a.jpg"])
def test_a_url_is_refused_with_the_reason_and_the_remedy(folder: Path, url: str) -> None:
    with pytest.raises(ParameterError, match="works offline") as raised:
        InputResolver().resolve("target", url, folder)
    assert "Download the file yourself" in str(raised.value)
    assert "FACESWAP_ENGINE_ALLOW_DOWNLOADS=1" in str(raised.value)


@pytest.mark.parametrize(("value", "allowed"), [("1", True), ("0", False), ("", False)])
def test_downloads_are_allowed_by_name_alone(
    monkeypatch: pytest.MonkeyPatch, value: str, allowed: bool
) -> None:
    monkeypatch.setenv("FACESWAP_ENGINE_ALLOW_DOWNLOADS", value)
    assert downloads_allowed() is allowed


def test_the_owner_says_which_paths_are_read(picture: Path, folder: Path) -> None:
    asked: list[tuple[str, Path]] = []

    def resolve(field: str, path: Path) -> Path:
        asked.append((field, path))
        raise ParameterError(f"{field} lies outside")

    inputs = InputResolver(resolve_path=resolve)
    for value in (str(picture), picture.as_uri(), "/etc/passwd", "file:///etc/passwd"):
        with pytest.raises(ParameterError, match="outside"):
            inputs.resolve("target", value, folder)
    assert [path for _, path in asked] == [picture, picture, *[Path("/etc/passwd")] * 2]


class _Site(http.server.BaseHTTPRequestHandler):
    """A site with a picture, redirects and faults."""

    heard: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.heard.append((self.requestline, self.headers["Host"]))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path.partition("?")[0] == "/a.png":
            self.send_response(200)
            self.send_header("Content-Length", str(len(PNG)))
            self.end_headers()
            self.wfile.write(PNG)
        elif self.path == "/short.png":
            self.send_response(200)
            self.send_header("Content-Length", str(len(PNG) + 1))
            self.end_headers()
            self.wfile.write(PNG)
        elif self.path == "/long.png":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
        elif self.path in ("/drip.png", "/slow-headers"):
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.0 200 OK\r\n")
                if self.path == "/drip.png":
                    self.wfile.write(b"\r\n")
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("engine.jobs.download.is_public", lambda address: address == "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_permitted_url_is_downloaded(site: str, folder: Path) -> None:
    permitted = InputResolver(downloads=True)
    assert permitted.resolve("target", f"{site}/a.png?x=1", folder).read_bytes() == PNG
    assert permitted.resolve("source_image", f"{site}/to//a.png", folder).suffix == ".png"


def test_a_download_that_fails_is_refused(site: str, folder: Path, picture: Path) -> None:
    permitted = InputResolver(downloads=True)
    for path in ("/b.png", f"/to/file://{quote(str(picture))}", "/to/ftp://127.0.0.1/a.png"):
        with pytest.raises(ParameterError, match="cannot be downloaded"):
            permitted.resolve("target", f"{site}{path}", folder)
    with pytest.raises(ParameterError, match="longer than 100 bytes"):
        InputResolver(downloads=True, max_bytes=100).resolve("target", f"{site}/a.png", folder)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/short.png", "ended 1 bytes before the end of the file"),
        (
            "/to/http://127.0.0.2/a.png",
            r"127\.0\.0\.2 is 127\.0\.0\.2, which is not a public address",
        ),
        ("/to//to//to//to//to//to//a.png", "redirected more than 5 times"),
        ("/c.png", "the server answered 404"),
    ],
)
def test_a_download_is_whole_and_public_or_refused(
    site: str, folder: Path, path: str, words: str
) -> None:
    with pytest.raises(ParameterError, match=f"cannot be downloaded: .*{words}"):
        InputResolver(downloads=True).resolve("target", f"{site}{path}", folder)


def test_a_download_that_says_it_is_too_long_is_not_begun(site: str, folder: Path) -> None:
    with pytest.raises(ParameterError, match="longer than 2,147,483,648 bytes"):
        InputResolver(downloads=True).resolve("target", f"{site}/long.png", folder)


@pytest.mark.parametrize("path", ["/drip.png", "/slow-headers"])
def test_a_download_has_so_much_time(
    site: str, folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.download.MAX_SECONDS", 0.3)
    with pytest.raises(ParameterError, match=r"it took longer than 0\.3 seconds"):
        InputResolver(downloads=True).resolve("target", f"{site}{path}", folder)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1"),
        *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "ff02::1", "fec0::1", "fd00::1"),
        *("::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "2001:0:4136:e378:8000:63bf::1"),
        *("2001:db8::1", "3fff::1", "100::1", "5f00::1", "2001:10::1", "4000::1", "192.88.99.1"),
    ],
)
def test_an_address_of_this_machine_or_network_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_a_public_address_is_public() -> None:
    assert all(map(is_public, ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]))


@pytest.mark.parametrize(
    ("end", "line"),
    [
        ("", "/"),
        ("?x=1", "/?x=1"),
        ("//a.png", "//a.png"),
        ("//h//a.png?x=//y", "//h//a.png?x=//y"),
        ("/a%20b é#c", "/a%20b%20%C3%A9"),
    ],
)
def test_the_line_of_a_request(site: str, folder: Path, end: str, line: str) -> None:
    _Site.heard.clear()
    with suppress(ParameterError):
        InputResolver(downloads=True).resolve("target", f"{site}{end}", folder)
    # The server library merges two slashes in the path, but not in the request line.
    assert _Site.heard == [(f"GET {line} HTTP/1.1", site.removeprefix("http://"))]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://h/", "h"),
        ("https://h:443/", "h"),
        ("https://h:80/", "h:80"),
        ("http://h:80/", "h"),
        ("http://[2606::1]:443/", "[2606::1]:443"),
    ],
)
def test_the_host_is_told_without_the_port_of_its_scheme(url: str, host: str) -> None:
    sent: list[bytes] = []
    connection = download_module._Connection(urlsplit(url), download_module._Abort())
    connection.sock = cast("Any", SimpleNamespace(sendall=sent.append, close=lambda: None))
    connection.request("GET", "/")
    assert f"\r\nHost: {host}\r\n".encode() in b"".join(sent)


def test_many_addresses_of_one_name_have_one_time_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class Silent:
        timeout = 0.0

        def __init__(self, *_: object) -> None:
            pass

        def settimeout(self, seconds: float) -> None:
            self.timeout = seconds

        def connect(self, _address: object) -> None:
            nonlocal now
            now += min(self.timeout, 12)
            raise TimeoutError("timed out")

        def close(self) -> None:
            pass

    addresses = [(2, 1, 6, "", (f"8.8.8.{n}", 80)) for n in range(200)]
    monkeypatch.setattr(download_module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(
        download_module,
        "socket",
        SimpleNamespace(getaddrinfo=lambda *_, **__: addresses, SOCK_STREAM=1, socket=Silent),
    )
    with pytest.raises(ParameterError, match="cannot be downloaded: timed out"):
        InputResolver(downloads=True).resolve("target", "http://example.org/", folder)
    assert now == download_module.SECONDS


@pytest.mark.parametrize("downloads", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "http://me:hush@127.0.0.1:9/a.png?sig=hush",
        "http://me:hush@[::1/a.png",
        "http://[me:hush@h]/a.png",
        "http://me:hush@h℀/a.png",
        "http://me:hush#@127.0.0.1/a.png",
        "http://me:hush?@127.0.0.1/a.png",
        "http://me:hush@127.0.0.1:port/a.png",
        "http://127.0.0.1?sig=hush",
        "ftp://me:hush@127.0.0.1/a.png",
    ],
)
def test_a_password_is_never_repeated(folder: Path, url: str, downloads: bool) -> None:
    with pytest.raises(ParameterError) as raised:
        InputResolver(downloads=downloads).resolve("target", url, folder)
    assert "hush" not in str(raised.value)
    with pytest.raises(ParameterError) as raised:
        parse_output(url)
    assert "hush" not in str(raised.value)


def test_a_redirect_repeats_no_password(site: str, folder: Path) -> None:
    for location in ("ftp://me:hush@h/", "http://me:hush@[::1/", "http://me:hush@192.168.0.1/"):
        with pytest.raises(ParameterError, match="cannot be downloaded") as raised:
            InputResolver(downloads=True).resolve("target", f"{site}/to/{location}", folder)
        assert "hush" not in str(raised.value).partition("cannot be downloaded")[2]


def test_nothing_of_this_machine_is_downloaded(folder: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0"):
        with pytest.raises(ParameterError, match="which is not a public address"):
            InputResolver(downloads=True).resolve("target", f"http://{host}:9/a.png", folder)


def test_an_output_is_a_path_or_a_file_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_output("a.mp4") == tmp_path / "a.mp4"
    assert parse_output((tmp_path / "a b.mp4").as_uri()) == tmp_path / "a b.mp4"
    for wrong in ("https://example.org/a.mp4", "data:,x", "file://there/a.mp4"):
        with pytest.raises(ParameterError, match=r"^output "):
            parse_output(wrong)


def test_what_a_dead_worker_left_beside_the_output_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    job = Job(id="1-2-3", request={}, state="PROCESSING", folder=tmp_path, created=0, claim=1)
    first = prepare_partial(output, job)
    first.touch()
    first.with_name(f".{first.stem}.0123abcd.partial.mp4").touch()
    (tmp_path / ".out.mp4").touch()
    again = prepare_partial(output, Job("1-2-3", {}, "PROCESSING", tmp_path, 0, claim=2))
    assert again != first
    assert again.parent == tmp_path
    assert again.suffix == ".mp4"
    assert [path.name for path in tmp_path.iterdir()] == [".out.mp4"]


def test_bytes_in_base64() -> None:
    assert base64.b64decode(encode_base64(PNG), validate=True) == PNG
