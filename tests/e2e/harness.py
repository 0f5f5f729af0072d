# SPDX-License-Identifier: Apache-2.0
"""What the e2e tests stand on: a place with a real broker, aggregator and agent, and the means to break each of them. Everything is in the test's own folder, on free ports, and ended by close()."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
import weakref

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PICKET_BIN", TOP / "build/dev/bin"))
TENANT, AGENT, AGGREGATOR, READER = "demo", "edge-1", "picket-aggregator", "demo/reader"
INTEGRATION = f"{TENANT}/integration"
PATIENCE = 150.0
_ports_given = {}
# PICKET_BIN may name programs with sanitizers, which hold on to memory and time: figures are not asked of these.
SANITIZED = any(b"__asan_init" in program.read_bytes() for program in [BIN / "picket-agent"] if program.exists())
SANITIZER = re.compile(r"\w+Sanitizer: .*|.*: runtime error: .*")
CORE = "ameide_core_proto.sre.core.v1."
EDGE = "ameide_core_proto.sre.edge.v1."


def seed():
    """PICKET_SEED, or another each time; printed, so that a failure can be run again."""
    value = int(os.environ.get("PICKET_SEED") or random.SystemRandom().randrange(1 << 31))
    print(f"PICKET_SEED={value}", flush=True)
    return value


def free_port():
    """Below those that the kernel gives to outgoing connections, and given once: until this process ends it holds a name in the
    kernel (unix(7), abstract) that every other run of these tests looks at, too. What is free now is free still when its owner
    listens on it."""
    first = 10000 + 2000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    for _ in range(2000):
        port = first + random.SystemRandom().randrange(2000)
        if port in _ports_given:
            continue
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0picket-tests-port-{port}")
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _ports_given[port] = held
        return port
    raise AssertionError(f"no port is free from {first} on")


def eventually(what, check, seconds=60.0, every=0.1, exactly=False):
    """Waits until check() returns something true, and returns it. What it raises meanwhile is why it is not there yet. The seconds
    are those of an idle machine, and a loaded one is given PATIENCE; exactly: they are what is tested."""
    seconds = seconds if exactly else max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
            last = value
        except (OSError, ApiError, AssertionError, LookupError, TypeError, ValueError) as reason:
            last = reason
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {what} (last: {last!r})")


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".000Z"


def seconds_of(stamp):
    import calendar
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))


class ApiError(Exception):
    def __init__(self, status, code, message):
        super().__init__(f"HTTP {status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Program:
    """One process of ours, with its log; started again after it was killed."""

    def __init__(self, name, folder, command):
        self.name, self.command = name, [str(word) for word in command]
        self.log_path = folder / f"{name}.log"
        self.process = None
        self.kills = 0

    def start(self):
        assert not self.runs(), f"{self.name} runs already"
        # No PICKET_ variable of the caller reaches the program: it would override its settings.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PICKET_")}
        with open(self.log_path, "ab") as log:
            log.write(f"--- started {time.time():.3f}\n".encode())
            log.flush()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        return self

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL; that it ran until then is part of the test."""
        assert self.runs(), f"{self.name} ended by itself ({self.process and self.process.returncode}):\n{self.tail()}"
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def terminate(self, seconds=30):
        """SIGTERM; the exit code."""
        assert self.runs(), f"{self.name} ended by itself ({self.process and self.process.returncode}):\n{self.tail()}"
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.runs():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])


class Proxy:
    """A TCP connection that can be cut: between a client of the broker and the broker."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs = set()
        self.open = True
        self.cuts = 0
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            cuts = self.cuts
            try:
                if not self.open:
                    raise OSError("cut")
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                late = self.cuts != cuts  # it was cut while this one was being made
                if not late:
                    self.pairs.add((near, far))
            if late:
                self._drop((near, far))
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink, (near, far)), daemon=True).start()

    def _pump(self, source, sink, pair):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                sink.sendall(piece)
        except OSError:
            pass
        self._drop(pair)

    def _drop(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def cut(self, refuse=True):
        """Ends every connection in the middle of whatever it carries; with refuse, new ones too until heal()."""
        self.open = not refuse
        with self.lock:
            self.cuts += 1
            pairs = list(self.pairs)
        for pair in pairs:
            self._drop(pair)

    def heal(self):
        self.open = True

    def close(self):
        self.closed = True
        self.listener.close()
        self.cut()


class Replies:
    """What comes in on one producer's reply topic, by its correlation data."""

    def __init__(self, place, who, topic):
        self.came = {}
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(place.mqtt_port), "--cafile", str(place.pki / "ca.crt"),
             "--cert", str(place.pki / f"{who}.crt"), "--key", str(place.pki / f"{who}.key"), "-q", "1", "-d",
             "-t", topic, "-F", "reply %D %x"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        place.closers.append(self)
        for line in self.process.stdout:
            if "SUBACK" in line:
                break
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            if len(words) == 3 and words[0] == "reply":
                with self.changed:
                    self.came[words[1]] = bytes.fromhex(words[2])
                    self.changed.notify_all()

    def wait(self, key, seconds):
        with self.changed:
            self.changed.wait_for(lambda: key in self.came, seconds)
            return self.came.pop(key, None)

    def close(self):
        self.process.kill()
        self.process.wait()


class Place:
    """Broker, aggregator, agents and their certificates in one folder."""
    open_ones = weakref.WeakSet()

    def __init__(self, folder, agent_settings=None):
        self.folder = folder
        self.pki = folder / "pki"
        self.programs, self.closers = [], []
        Place.open_ones.add(self)
        self._replies, self._replies_lock = {}, threading.Lock()
        self.mqtt_port, self.http_port, self.agent_port = free_port(), free_port(), free_port()
        for words in (("server", "broker"), ("client", "aggregator", AGGREGATOR), ("client", AGENT, f"{TENANT}/{AGENT}"),
                      ("client", "reader", READER), ("client", "integration", INTEGRATION)):
            self.certify(self.pki, *words)
        self._configure_broker()
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.broker = self._program("mosquitto", [program, "-c", folder / "mosquitto.conf"])
        self.agent_proxy, self.aggregator_proxy = Proxy(self.mqtt_port), Proxy(self.mqtt_port)
        self.closers += [self.agent_proxy, self.aggregator_proxy]
        self._configure_aggregator()
        self.aggregator = self._program("picket-aggregator", [BIN / "picket-aggregator", "--config", folder / "aggregator.yaml"])
        self.agent_config = folder / "agent.yaml"
        self.agent = self._program("picket-agent", [BIN / "picket-agent", "--config", self.agent_config])
        self.token = self.make_token("tests", "admin")

    def _program(self, name, command):
        program = Program(name, self.folder, command)
        self.programs.append(program)
        return program

    def close(self):
        Place.open_ones.discard(self)
        for program in reversed(self.programs):
            program.end()
        for closer in self.closers:
            closer.close()
        # PICKET_BIN may name programs with sanitizers: some of what these find is said at the very end only.
        for program in self.programs:
            assert not SANITIZER.search(program.log()), f"{program.name}: {SANITIZER.search(program.log()).group()}\n{program.tail(60)}"

    # -- configuration

    @staticmethod
    def certify(pki, *words):
        made = subprocess.run([TOP / "platforms/local/certificates", pki, *words], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr

    def _fill(self, template, target, **more):
        """Fills the templates that platforms/ ships, so that what is tested is what is shipped."""
        values = {"PORT": self.mqtt_port, "ADDRESS": "127.0.0.1", "ACL_FILE": self.folder / "acl",
                  "DATA_DIR": self.folder / "mosquitto", "CA_FILE": self.pki / "ca.crt", "CERT_FILE": self.pki / "broker.crt",
                  "KEY_FILE": self.pki / "broker.key", "EXTRA": "user root" if os.getuid() == 0 else "",
                  "AGGREGATOR": AGGREGATOR, "READER": READER, "TENANT": TENANT, **more}
        text = (TOP / template).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        (self.folder / target).write_text(text, encoding="utf-8")

    def _configure_broker(self):
        (self.folder / "mosquitto").mkdir()
        self._fill("platforms/mosquitto/mosquitto.conf.in", "mosquitto.conf")
        self._fill("platforms/mosquitto/acl.in", "acl")
        with open(self.folder / "acl", "a", encoding="utf-8") as acl:  # as its comment says
            acl.write(f"\nuser {INTEGRATION}\ntopic write sre.domain.intents.v1/{INTEGRATION}\n"
                      f"topic read sre.domain.replies.v1/{INTEGRATION}\n")

    def _configure_aggregator(self):
        (self.folder / "aggregator").mkdir()
        self.write_yaml("aggregator.yaml", aggregator_settings(self))

    def configure_agent(self, targets, **settings):
        """targets: {name: url}. settings: dotted keys with __ for the dot, such as scrape__interval="250ms"."""
        values = {
            "agent": {"tenant": TENANT, "name": AGENT, "cluster_id": "c1"},
            "buffer": {"path": str(self.folder / "agent")},
            "mqtt": {"host": "127.0.0.1", "port": self.agent_proxy.port, "ca": str(self.pki / "ca.crt"),
                     "certificate": str(self.pki / f"{AGENT}.crt"), "key": str(self.pki / f"{AGENT}.key"),
                     "backoff_min": "50ms", "backoff_max": "1s", "connect_timeout": "5s"},
            "ship": {"resend_after": "3s", "status_interval": "1s", "outage": "5s"},
            "config": {"probation": "2s"},
            "http": {"port": self.agent_port},
            "scrape": {"interval": "250ms", "timeout": "250ms"},
            "targets": [{"name": name, "url": url} for name, url in targets.items()],
        }
        for key, value in settings.items():
            section, _, name = key.partition("__")
            if name:
                values.setdefault(section, {})[name] = value
            else:
                values[section] = value
        self.write_yaml("agent.yaml", values)

    def write_yaml(self, name, values):
        # JSON is YAML.
        (self.folder / name).write_text(json.dumps(values, indent=1), encoding="utf-8")

    # -- life

    def start_broker(self):
        self.broker.start()
        eventually("Mosquitto listens", lambda: self._listens(self.mqtt_port, self.broker))

    def _listens(self, port, program):
        assert program.runs(), program.tail()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def wipe_broker(self):
        """Everything the broker remembered is gone: its disk was new."""
        assert not self.broker.runs()
        shutil.rmtree(self.folder / "mosquitto")
        (self.folder / "mosquitto").mkdir()

    def start_aggregator(self, ready=True):
        self.aggregator.start()
        if ready:
            eventually("the aggregator is ready", lambda: self.get("/readyz")[0] == 200, 60)

    def start_agent(self):
        self.agent.start()

    def start(self):
        self.start_broker()
        self.start_aggregator()

    # -- the API

    def make_token(self, name, role, tenant=TENANT):
        made = subprocess.run([str(word) for word in token_command(self, name, role, tenant)], capture_output=True, text=True,
                              check=False, timeout=120)
        assert made.returncode == 0, f"no token: {made.stdout}{made.stderr}"
        return made.stdout.split()[-1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def get(self, path, token=None, accept=None):
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if accept:
            headers["Accept"] = accept
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def call(self, method, request=None, token=None, headers=None):
        """Connect, JSON: call("core", "SLOService/GetSLO", ...) by the full path behind the package."""
        data = json.dumps(request or {}).encode()
        all_headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token if token is None else token}",
                       **(headers or {})}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{method}", data, all_headers), timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            body = refused.read().decode(errors="replace")
            try:
                said = json.loads(body)
            except ValueError:
                said = {"code": "?", "message": body}
            raise ApiError(refused.code, said.get("code"), said.get("message")) from None

    def create_slo(self, slo_id, spec, window_seconds, target=99.0, **more):
        spec = dict(spec, windowSeconds=window_seconds)
        return self.call(CORE + "SLOService/CreateSLO", {"command": {
            "sloId": slo_id, "name": slo_id, "target": target, "window": "SLO_WINDOW_7D", "sliSpec": spec, **more}})

    def windows(self, slo_id, start, end):
        """{window start: point} as measured by the agent, for windows in [start, end). One series expected."""
        answer = self.call(CORE + "SLOQueryService/GetSLITimeSeries", {
            "sloId": slo_id, "from": rfc3339(start), "to": rfc3339(end), "split": True})
        series = [one for one in answer.get("series", []) if one.get("points")]
        assert len(series) <= 1, f"{slo_id}: {[(one.get('clusterId'), one.get('agent')) for one in series]}"
        points = {}
        for point in series[0]["points"] if series else []:
            at = seconds_of(point["at"])
            assert at not in points, f"{slo_id}: two points at {point['at']}"
            points[at] = {name: int(point.get(key, 0)) for name, key in
                          (("good", "good"), ("total", "total"), ("expected", "scrapesExpected"), ("seen", "scrapesSeen"),
                           ("windows", "windowsCount"))}
            points[at]["unknown"] = point.get("unknown", False)
        return points

    def facts(self, **filters):
        """All facts of the tenant, in the order of their sequence."""
        found, after = [], 0
        while True:
            page = self.call(CORE + "FactService/ListFacts", {"afterSequence": str(after), "limit": 1000, **filters})
            found += page.get("facts", [])
            after = int(page.get("lastSequence", 0))
            if after >= int(page.get("newestSequence", 0)):
                return found

    def rejections(self):
        return self.call(CORE + "RejectionService/ListRejections", {"pageSize": 1000}).get("rejections", [])

    def agent_known(self):
        agents = self.call(EDGE + "AgentService/ListAgents").get("agents", [])
        return next((agent for agent in agents if agent["status"]["agent"] == AGENT), None)

    def metric(self, name, where="aggregator", **labels):
        """The sum of the series of that name whose labels are these; None when there is none."""
        if where == "aggregator":
            status, text = self.get("/metrics")
        else:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.agent_port}/metrics", timeout=20) as answer:
                status, text = answer.status, answer.read().decode()
        assert status == 200, text
        total = None
        for line in text.splitlines():
            match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            if not match:
                continue
            if all(f'{key}="{value}"' in (match.group(1) or "") for key, value in labels.items()):
                total = (total or 0) + float(match.group(2))
        return total

    # -- picketctl, and MQTT by hand

    def ctl(self, *words, token=None, url=None, check=True, stdin=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PICKET_")}
        environment.update(PICKET_URL=url or self.url, PICKET_TOKEN=self.token if token is None else token)
        ran = subprocess.run([str(BIN / "picketctl"), *map(str, words)], capture_output=True, text=True, timeout=300, check=False,
                             env=environment, input=stdin)
        assert not check or ran.returncode == 0, f"picketctl {words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran

    def publish(self, who, topic, payload, pki=None, properties=()):
        """Publishes bytes as the owner of a certificate; what mosquitto_pub said. properties: name, value, name, value."""
        pki = pki or self.pki
        more = [word for i in range(0, len(properties), 2) for word in ("-D", "publish", *properties[i:i + 2])]
        ran = subprocess.run(["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(self.mqtt_port), "--cafile",
                              str(self.pki / "ca.crt"), "--cert", str(pki / f"{who}.crt"), "--key", str(pki / f"{who}.key"),
                              "-q", "1", "-t", topic, "-s", *more], input=payload, capture_output=True, timeout=120, check=False)
        return ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace")

    def request(self, who, topic, response_topic, payload, seconds=30):
        """Publishes bytes as a request of MQTT 5; the answer's bytes, or None when there is none in time."""
        with self._replies_lock:
            if who not in self._replies:
                self._replies[who] = Replies(self, who, response_topic)
        key = uuid.uuid4().hex
        code, said = self.publish(who, topic, payload, properties=["response-topic", response_topic, "correlation-data", key])
        assert code == 0, said
        return self._replies[who].wait(key, seconds)

    def story(self):
        """The ends of all logs: for the message of a failure."""
        return "\n".join(f"=== {program.name}\n{program.tail()}" for program in self.programs)


def aggregator_settings(place):
    return {
        "data": {"path": str(place.folder / "aggregator"), "map_bytes": "1GiB"},
        "http": {"address": "127.0.0.1", "port": place.http_port},
        # All tests ask from one address, some with many bad tokens; test_callers.py is about this limit.
        "limits": {"failed_sign_ins_per_minute": 0},
        "mqtt": {"host": "127.0.0.1", "port": place.aggregator_proxy.port, "ca": str(place.pki / "ca.crt"),
                 "certificate": str(place.pki / "aggregator.crt"), "key": str(place.pki / "aggregator.key"),
                 "backoff_min": "50ms", "backoff_max": "1s", "connect_timeout": "5s"},
        "enrolment": {"ca_certificate": str(place.pki / "ca.crt"), "ca_key": str(place.pki / "ca.key"), "broker_port": place.mqtt_port},
    }


def token_command(place, name, role, tenant):
    return [BIN / "picket-aggregator", "token", "create", "--config", place.folder / "aggregator.yaml", "--tenant", tenant,
            "--name", name, "--role", role]
