"""The page's server: who may ask for what, and what becomes of an image."""

import gzip
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import PIL.Image
import pytest
import tifffile
from demitasse.imaging import averaging, tiff
from demitasse.imaging.deployed import load_deployed
from demitasse.tools import _http, _jobs, deploy, serve
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("trained")


class Client:
    """Asks as the page does, unless told otherwise."""

    def __init__(self, server):
        self.server, self.host = server, f"127.0.0.1:{server.server_port}"

    def ask(self, path, method="GET", body=None, token=None, **headers):
        connection = http.client.HTTPConnection(self.host, timeout=20)
        headers = {"Host": self.host, "Origin": f"http://{self.host}"} | headers
        known = {name: value for name, value in headers.items() if value is not None}
        token = self.server.token if token is None else token
        connection.request(method, f"/{token}/{path}", body, known)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.getheader("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        return answer, content

    def json(self, path, method="GET", body=None):
        return json.loads(self.ask(path, method, body)[1])

    def send(self, path, name=None):
        path = Path(path)
        return self.json(f"images?name={name or path.name}", "POST", path.read_bytes())

    def wait(self, one):
        end = time.monotonic() + 20
        while one["status"] in ("waiting", "running"):
            assert time.monotonic() < end
            time.sleep(0.01)
            one = self.json(f"images/{one['id']}")
        return one

    def segment(self, path):
        one = self.wait(self.send(path))
        assert one["status"] == "done", one["error"]
        return one


@pytest.fixture
def started(tmp_path):
    """Start a server with these options of the command; each is ended."""
    running = []

    def start(*argv):
        args = serve.parser().parse_args(["--weights", "tiny.h5", *argv])
        folder = tmp_path / f"served{len(running)}"
        folder.mkdir()
        jobs = _jobs.Jobs(load_deployed(args.weights), args, folder)
        server = _http.Server(0, jobs, folder, args.max_upload)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, jobs, thread))
        return Client(server)

    yield start
    for server, jobs, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()
        jobs.end()


@pytest.fixture
def client(started):
    return started()


@pytest.fixture
def gate(monkeypatch):
    """Holds the net before each page until it is set."""
    opened = threading.Event()
    predict = averaging.predict

    def held(*args, **more):
        assert opened.wait(20)
        return predict(*args, **more)

    monkeypatch.setattr(averaging, "predict", held)
    yield opened
    opened.set()


# ---------------------------------------------------------------------- who may ask


def test_without_the_token_there_is_nothing(client):
    for path in ("", "page.js", "model", "images/0123456789abcdef"):
        for token in ("", "wrong", client.server.token + "x", client.server.token[:-1]):
            assert client.ask(path, token=token)[0].status == 403, (path, token)


def test_another_hosts_name_leads_nowhere(client):
    port = client.server.server_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        assert client.ask("", Host=host)[0].status == 403
    assert client.ask("", Host=f"localhost:{port}")[0].status == 200


def test_a_browser_leaves_the_port_of_the_web_out(client):
    assert "127.0.0.1" not in _http.hosts(8080)
    assert _http.hosts(80) == {"127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"}
    assert client.server.hosts == _http.hosts(client.server.server_port)


def test_only_the_page_may_change_anything(client):
    one = client.segment("img.tif")
    for origin in (None, "null", "http://evil.example", "http://127.0.0.1:1"):
        for method, path in (("POST", "images?name=a.tif"), ("DELETE", f"images/{one['id']}")):
            answer, said = client.ask(path, method, b"x", Origin=origin)
            assert answer.status == 403 and b"Only the page itself" in said, (origin, method)
    assert client.json("model")["images"] == [one]


def test_it_listens_on_this_machine_alone(client):
    assert client.server.server_address[0] == "127.0.0.1"


def test_every_answer_forbids_foreign_scripts(client):
    for path in ("", "model", "nothing"):
        answer, _ = client.ask(path)
        policy = answer.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Cache-Control") == "no-store"


def test_a_path_of_a_request_is_no_path_of_a_file(client):
    for path in (
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "page/../serve.py",
        "./page.js",
        "images/../model",
        "images/0123456789abcdef/../../served0",
        "page.js%00",
        "index.html",
        "%2e%2e/serve.py",
    ):
        assert client.ask(path)[0].status == 404, path


def test_the_page_asks_no_other_server(client):
    for name in _http.PAGE:
        answer, content = client.ask(name)
        assert answer.status == 200 and len(content) > 100
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//\w+\.\w+|@import|url\(", text), name


# ---------------------------------------------------------------------- what becomes of an image


def size_of(png):
    with PIL.Image.open(io.BytesIO(png)) as picture:
        return picture.size


def test_an_image_is_segmented_as_deploy_does(client):
    one = client.segment("img.tif")
    assert (one["name"], one["width"], one["height"]) == ("img.tif", 50, 40)
    assert one["done"] == one["tiles"] == 1
    argv = ["--weights", "tiny.h5", "img.tif", "--output", "labels,prob", "--measure", "--ome"]
    assert guarded(deploy.main, argv) == 0
    base = f"images/{one['id']}"
    for name in ("labels.tif", "objects.csv"):
        answer, content = client.ask(f"{base}/{name}")
        assert content == Path(f"img.{name}").read_bytes(), name
        assert answer.getheader("Content-Disposition").endswith(f"img.{name}")
    Path("ome.tif").write_bytes(client.ask(f"{base}/ome.tif")[1])  # whose UUID is another one
    np.testing.assert_array_equal(tifffile.imread("ome.tif"), tifffile.imread("img.ome.tif"))
    prob = tifffile.imread("img.prob.tif")
    levels = np.frombuffer(client.ask(f"{base}/0.1.prob")[1], np.uint8).reshape(40, 50)
    for k in (0, 64, 128, 200, 255):
        np.testing.assert_array_equal(levels >= k, (prob > k / 256) | (k == 0))
    shown = np.frombuffer(client.ask(f"{base}/0.labels")[1], np.uint8).reshape(40, 50)
    np.testing.assert_array_equal(shown, tifffile.imread("img.labels.tif"))
    assert size_of(client.ask(f"{base}/0.png")[1]) == (50, 40)


def test_results_at_another_threshold(client):
    one = client.segment("img.tif")
    at = f"images/{one['id']}"
    Path("ome.tif").write_bytes(client.ask(f"{at}/ome.tif")[1])
    mask = tifffile.imread("ome.tif")[1] > 0.25
    assert 0 < mask.sum() < mask.size
    answer, content = client.ask(f"{at}/labels.tif?class=1&threshold=0.25")
    assert answer.getheader("Content-Disposition").endswith("img.labels-0.25.tif")
    Path("t.tif").write_bytes(content)
    np.testing.assert_array_equal(tifffile.imread("t.tif"), mask.astype(np.uint8))
    table = client.ask(f"{at}/objects.csv?class=1&threshold=0.25")[1].decode().splitlines()
    assert sum(int(row.split(",")[4]) for row in table[1:]) == mask.sum()
    assert client.ask(f"{at}/rois.zip?class=1&threshold=0.25")[1].startswith(b"PK")
    for bad in ("threshold=1", "threshold=-1", "threshold=nan", "threshold=x"):
        assert client.ask(f"{at}/labels.tif?{bad}")[0].status == 400
    assert client.ask(f"{at}/labels.tif?class=2&threshold=0.2")[0].status == 404


def test_objects_are_told_apart_as_deploy_does(started):
    client = started("--seeds", "0.9")
    at = f"images/{client.segment('img.tif')['id']}"
    model = ["--weights", "tiny.h5", "img.tif", "--measure", "--rois", "--overwrite"]
    assert guarded(deploy.main, [*model, "--seeds", "0.9"]) == 0
    for name in ("objects.csv", "rois.zip"):
        assert client.ask(f"{at}/{name}")[1] == Path(f"img.{name}").read_bytes(), name
    assert guarded(deploy.main, model) == 0
    assert client.ask(f"{at}/objects.csv")[1] != Path("img.objects.csv").read_bytes()


def test_pages_of_a_stack(started):
    client = started("--pages", "1,2")
    stack = np.random.default_rng(0).integers(0, 255, (3, 30, 40)).astype(np.uint8)
    tiff.write("s.tif", stack, pixel_size=(0.5, 0.5))
    one = client.segment("s.tif")
    assert one["pages"] == [1, 2] and one["pixel_size"] == pytest.approx([0.5, 0.5])
    base = f"images/{one['id']}"
    Path("l.tif").write_bytes(client.ask(f"{base}/labels.tif")[1])
    labels = tifffile.imread("l.tif")
    for place in (0, 1):
        shown = client.ask(f"{base}/{place}.labels")[1]
        assert shown == labels[place].tobytes()
    assert client.ask(f"{base}/2.png")[0].status == 404
    table = client.ask(f"{base}/objects.csv")[1].decode().splitlines()
    assert {row.split(",")[0] for row in table[1:]} == {"1", "2"}


def test_volumes(started, deep):
    client = started("--weights", "deep.h5")
    voxels = np.full((3, 6, 8), -1, np.float32)
    voxels[:, 2:4, 3:6] = 1
    voxels[1, 5, 7] = 0.1
    tiff.write("v.tif", voxels, pixel_size=(0.5, 0.5), depth=2.0)
    one = client.segment("v.tif")
    at = f"images/{one['id']}"
    for place in range(3):
        shown = np.frombuffer(client.ask(f"{at}/{place}.labels")[1], np.uint8).reshape(6, 8)
        np.testing.assert_array_equal(shown, voxels[place] > 0)
    table = client.ask(f"{at}/objects.csv?class=1&threshold=0.6")[1].decode().splitlines()
    assert len(table) == 2 and table[1].startswith("0,1,1,cell,18,9,1.000,2.500,4.000,")
    Path("l.tif").write_bytes(client.ask(f"{at}/labels.tif?class=1&threshold=0.6")[1])
    labels = tiff.read("l.tif")
    assert labels.axes == "ZYX" and labels.depth == 2.0
    np.testing.assert_array_equal(labels.pixels[:, 0], voxels > 0.5)


def test_a_large_image_is_shown_smaller(client, monkeypatch):
    monkeypatch.setattr("demitasse.tools._views.SIDE", 25)
    one = client.segment("img.tif")
    base = f"images/{one['id']}"
    assert (
        len(client.ask(f"{base}/0.labels")[1]) == len(client.ask(f"{base}/0.1.prob")[1]) == 20 * 25
    )
    assert size_of(client.ask(f"{base}/0.png")[1]) == (25, 20)


def test_a_bad_file_is_refused_in_the_words_of_deploy(client, capsys):
    Path("notes.tif").write_text("no image")
    Path("empty.png").touch()
    Path("cut.tif").write_bytes(b"II*\0\x08\0\0\0")
    tiff.write("rgb.tif", np.zeros((1, 3, 30, 30), np.uint8))
    tifffile.imwrite("nan.tif", np.full((30, 30), np.nan, np.float32))
    for name in ("notes.tif", "empty.png", "cut.tif", "rgb.tif", "nan.tif"):
        one = client.wait(client.send(name))
        capsys.readouterr()
        assert guarded(deploy.main, ["--weights", "tiny.h5", name]) == 2
        assert one["status"] == "failed"
        assert f"error: {one['error']}" == capsys.readouterr().err.strip()


def test_a_failure_of_the_program_does_not_end_it(client, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(averaging, "predict", lambda *a, **k: 1 / 0)
        one = client.wait(client.send("img.tif"))
    assert one["status"] == "failed" and "ZeroDivisionError" in one["error"]
    assert "Traceback" in capsys.readouterr().err
    client.segment("img.tif")


def test_names_lead_nowhere(client):
    for given, kept in (
        ("..%2f..%2fetc%2fcell.tif", "cell.tif"),
        ("C:%5Cdata%5Ccell.tif", "cell.tif"),
        (".hidden.tif", "hidden.tif"),
        ("a%00b%0a.tif", "ab.tif"),
        ("", "image"),
        ("..", "image"),
        ("x" * 300 + ".tif", "x" * 120 + ".tif"),
        ("x" * 300, "x" * 120),
        ("%E7%BB%86%E8%83%9E" * 60 + ".tif", "细胞" * 20 + ".tif"),  # 3 bytes a letter
        ("a." + "%E7%BB%86" * 20, "a." + "细" * 3),
        ("Zelle%20%C3%A4.tif", "Zelle ä.tif"),
    ):
        one = client.json(f"images?name={given}", "POST", Path("img.tif").read_bytes())
        assert one["name"] == kept
        job = client.server.jobs.get(one["id"])
        assert job.image.path.parent.parent == client.server.folder
        assert client.wait(one)["status"] == "done"
        assert client.ask(f"images/{one['id']}/labels.tif")[0].status == 200


# ---------------------------------------------------------------------- too much, too many


def test_a_file_above_the_limit_is_refused_before_it_is_sent(started):
    client = started("--max-upload", "1")
    with socket.create_connection(("127.0.0.1", client.server.server_port)) as link:
        head = f"POST /{client.server.token}/images?name=a.tif HTTP/1.1\r\nHost: {client.host}\r\n"
        head += f"Origin: http://{client.host}\r\nContent-Length: {2 << 20}\r\n\r\n"
        link.sendall(head.encode())
        said = link.makefile("rb").read()
    assert b" 413 " in said and b"a.tif: is too large; expected at most 1 MiB, found 2 MiB" in said
    assert list(client.server.folder.iterdir()) == []


def test_a_refusal_is_read_by_whoever_is_still_sending(client):
    for _ in range(5):
        answer, said = client.ask("images?name=a.tif", "POST", bytes(5 << 20), Origin="null")
        assert answer.status == 403 and b"Only the page itself" in said


def test_a_folder_that_cannot_be_filled(client, monkeypatch):
    """What the system says of it names no folder of the server, and nothing is left."""

    def refused(source, target):
        raise OSError(36, "File name too long", str(source), None, str(target))

    monkeypatch.setattr(_jobs.os, "replace", refused)
    answer, said = client.ask("images?name=a.tif", "POST", Path("img.tif").read_bytes())
    assert answer.status == 507 and str(client.server.folder).encode() not in said, said
    assert list(client.server.folder.iterdir()) == []


def test_numbers_of_very_many_digits(client, capsys):
    """Python reads none of more than 4,300."""
    with socket.create_connection(("127.0.0.1", client.server.server_port), 20) as line:
        head = f"POST /{client.server.token}/images?name=a.tif HTTP/1.1\r\nHost: {client.host}\r\n"
        line.sendall(f"{head}Origin: http://{client.host}\r\n".encode())
        line.sendall(b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    one = client.segment("img.tif")
    for query in (f"class={'9' * 5000}&threshold=0.5", "class=\u0661&threshold=0.5"):
        assert client.ask(f"images/{one['id']}/labels.tif?{quote(query, '=&')}")[0].status == 404
    assert "Traceback" not in capsys.readouterr().err


def test_an_upload_needs_its_size(client):
    answer, _ = client.ask("images?name=a.tif", "POST", iter([b"x"]))
    assert answer.status == 411


def test_a_cancelled_upload_leaves_nothing(client, capsys):
    with socket.create_connection(("127.0.0.1", client.server.server_port)) as link:
        head = f"POST /{client.server.token}/images?name=a.tif HTTP/1.1\r\nHost: {client.host}\r\n"
        head += f"Origin: http://{client.host}\r\nContent-Length: 5000\r\n\r\n"
        link.sendall(head.encode() + b"x" * 100)
        wait(lambda: list(client.server.folder.glob("*.part")))
    wait(lambda: not list(client.server.folder.iterdir()))
    assert client.json("model")["images"] == []
    assert "Traceback" not in capsys.readouterr().err


def wait(until):
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_results_are_not_given_before_they_are_there(client, gate):
    one = client.send("img.tif")
    for name in ("labels.tif", "0.1.prob", "0.labels"):
        assert client.ask(f"images/{one['id']}/{name}")[0].status == 409
    assert client.ask(f"images/{one['id']}/0.png")[0].status == 200
    gate.set()
    assert client.wait(one)["status"] == "done"


def test_a_cancelled_image_makes_way_and_leaves_nothing(client, gate):
    first, second, third = (client.send("img.tif") for _ in range(3))
    wait(lambda: client.json(f"images/{first['id']}")["status"] == "running")
    for one in (first, second):
        client.json(f"images/{one['id']}", "DELETE")
        assert client.ask(f"images/{one['id']}")[0].status == 404
    gate.set()
    assert client.wait(third)["status"] == "done"
    wait(lambda: len(list(client.server.folder.iterdir())) == 1)


def test_many_at_once(client):
    """Each gets its own result, one after the other."""
    rng = np.random.default_rng(0)
    for i in range(6):
        tiff.write(f"i{i}.tif", rng.integers(0, 255, (1, 30, 40 + i)).astype(np.uint8))
    done = {}

    def one(i):
        done[i] = client.segment(f"i{i}.tif")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(6):
        assert (done[i]["name"], done[i]["width"]) == (f"i{i}.tif", 40 + i)
        assert len(client.ask(f"images/{done[i]['id']}/0.labels")[1]) == 30 * (40 + i)


def test_the_oldest_makes_room_and_a_full_queue_is_said(client, monkeypatch, gate):
    monkeypatch.setattr(_jobs, "MOST", 2)
    first, second = client.send("img.tif"), client.send("img.tif")
    said = client.send("img.tif")
    assert said["status"] == "failed" and "2 images wait already" in said["error"]
    gate.set()
    for one in (first, second):
        assert client.wait(one)["status"] == "done"
    third = client.segment("img.tif")
    assert (second["instead"], third["instead"]) == ("", first["id"])  # so that its row says so
    answer, said = client.ask(f"images/{first['id']}")
    assert answer.status == 404 and b"is no longer here: the server keeps 2 images" in said
    assert client.json("model")["most"] == 2
    assert len(list(client.server.folder.iterdir())) == 2


def test_how_many_are_kept_is_said_where_users_read():
    page = (ROOT / "docs" / "how-to" / "page.md").read_text()
    for said in (serve.EPILOG, page):
        assert f"the last {_jobs.MOST} " in " ".join(said.lower().split())


# ---------------------------------------------------------------------- the command


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path):
    """Also while an image is being segmented."""
    tiff.write("big.tif", np.zeros((50, 400, 400), np.uint8))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, str(ROOT / "tools" / "serve.py"), "--weights", "tiny.h5"]
    process = subprocess.Popen(
        [*command, "--no-browser", "--average", "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    found = re.fullmatch(
        r"tiny.h5: open (http://127\.0\.0\.1:\d+)(/[\w-]{32}/)\n", process.stdout.readline()
    )
    connection = http.client.HTTPConnection(found[1].removeprefix("http://"), timeout=20)

    def state(method, path, body=None):
        connection.request(method, found[2] + path, body, {"Origin": found[1]})
        return json.loads(connection.getresponse().read())

    one = state("POST", "images?name=big.tif", Path("big.tif").read_bytes())
    wait(lambda: state("GET", f"images/{one['id']}")["done"] > 0)
    connection.close()
    assert len(list(temporary.iterdir())) == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in err
    assert "big.tif: cancelled; " in err and "of 400 tiles" in err
    assert list(temporary.iterdir()) == []


def test_a_port_that_is_taken(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        argv = ["--weights", "tiny.h5", "--no-browser", "--port", str(port)]
        assert guarded(serve.main, argv) == 2
    assert f"port {port} cannot be opened" in capsys.readouterr().err


def test_a_port_that_is_none(capsys):
    for port in ("0", "65536", "x"):
        with pytest.raises(SystemExit):
            serve.main(["--weights", "tiny.h5", "--port", port])
        assert "--port" in capsys.readouterr().err
