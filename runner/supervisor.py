"""The steps of `make run`: services, database, processes; then watching, then stopping."""

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from batches.store import wanted_maxmemory
from process import private_file
from process.environment import forget_libpq
from runner import ports, preflight, processes, settings
from runner.child import Backoff, Child, read_procfile
from runner.console import Console, clear_error
from runner.guard import SHOW_AGAIN
from runner.problem import Problem
from runner.readiness import Readiness
from runner.services import Broker, Postgres, Redis, Service
from runner.services.base import remembered_secret
from runner.welcome import welcome

READY_SECONDS = 60.0

# Who stops first: those that bring new work, then those that do it. Names that are not here stop with `web`.
STOPPING = (("simulate",), ("bridge", "beat"), ("worker", "upkeep"), ("web", "flower"))
GRACE = {"worker": 20.0, "upkeep": 20.0}
USUAL_GRACE = 5.0


class Stopped(Exception):
    """Somebody asked us to stop."""


class Signals:
    """Waits for a signal to stop, for the end of a child, or for the time to pass."""

    def __init__(self) -> None:
        self.asked = 0
        self.again = False
        """Somebody pressed Enter."""
        self._wake, wake_fd = socket.socketpair()
        self._keep = wake_fd
        self._wake.setblocking(False)
        wake_fd.setblocking(False)
        signal.set_wakeup_fd(wake_fd.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(SHOW_AGAIN, self._show_again)

    def _show_again(self, *_: object) -> None:
        self.again = True

    def _stop(self, *_: object) -> None:
        self.asked += 1

    def wait(self, seconds: float) -> None:
        select.select([self._wake], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)


class Supervisor:
    def __init__(self, env: settings.RunSettings, console: Console) -> None:
        self.env = env
        self.console = console
        self.signals = Signals()
        self.services: dict[str, Service] = {}
        self.children: dict[str, Child] = {}
        self.commands: list[subprocess.Popen[bytes]] = []
        self.values = dict(env.values)
        self.box = ""
        self._service_backoff: dict[str, Backoff] = {}
        self._restarting: dict[str, Future[None]] = {}
        self._stopping = False

    def run(self) -> int:
        try:
            self.check()
            self.start_services()
            self.set_up()
            self.start_children()
            self.box = welcome(self.env, self.values)
            self.console.all_is_up(self.env["TIME_ZONE"])
            self.console.text(self.box)
            self.watch()
        except Stopped:
            self.stop()
            self.console.step(f"stopped; data stays in {self.env.shown(self.env.data_dir)}")
            return 0
        except Problem as problem:
            self.stop()
            self.console.problem(str(problem))
        except OSError as error:
            self.stop()
            self.console.problem(clear_error(error))
        except BaseException:
            self.stop()
            raise
        return 1

    # --- starting ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Everything that can be known before anything runs."""
        wanted = {"WEB_PORT": self.env.web_port, "FLOWER_PORT": self.env.flower_port}
        hosts = {"WEB_PORT": self.env["WEB_LISTEN"], "FLOWER_PORT": "127.0.0.1"}
        if not self.env["MQTT_URL"]:
            wanted["MQTT_PORT"], hosts["MQTT_PORT"] = self.env.mqtt_port, self.env["MQTT_LISTEN"]
        for name, port in wanted.items():
            problem = ports.problem(port, hosts[name])
            if problem:
                raise Problem(
                    f"port {port} {problem}; choose another, for example: {name}={port + 1} make run"
                )
        given = [name for name in settings.URLS if self.env[name]]
        for name in given:
            self.console.step(f"asking {name} whether it answers")
        jobs = [lambda name=name: preflight.check(name, self.env) for name in given]
        self.together([self._check_djangos_settings, *jobs])

    def _check_djangos_settings(self) -> None:
        """Raises Problem with what `manage.py check_settings` says: one line that names the variables."""
        argv = [sys.executable, "manage.py", "check_settings"]
        process = processes.spawn(argv, cwd=self.env.project, env=self.env.stand_ins)
        self.commands.append(process)
        output = process.communicate()[0].decode(errors="replace")
        if process.returncode != 0 and not self._stopping:
            for line in output.splitlines()[-15:-1]:
                self.console.line("settings", line.encode())
            raise Problem((output.splitlines() or ["manage.py check_settings failed"])[-1])

    def start_services(self) -> None:
        data = self.env.data_dir
        if not self.env["DATABASE_URL"]:
            self.services["DATABASE_URL"] = Postgres(data / "postgres")
        if not self.env["REDIS_URL"]:
            wanted = -(-wanted_maxmemory(self.env.bridge.batches_max_bytes) // 2**20)
            self.services["REDIS_URL"] = Redis(data / "redis", megabytes=max(512, wanted))
        if not self.env["MQTT_URL"]:
            listen = self.env["MQTT_LISTEN"]
            self.services["MQTT_URL"] = Broker(data / "mqtt", self.env.mqtt_port, listen=listen)
        if self.services:
            names = ", ".join(service.name for service in self.services.values())
            self.console.step(f"starting {names} …")
        self.together([lambda s=s: self._start_service(s) for s in self.services.values()])  # type: ignore[misc]
        self.values |= {name: service.url for name, service in self.services.items()}

    def _start_service(self, service: Service) -> None:
        began = time.monotonic()
        service.start()
        where = f"{service.host}:{service.port}"
        self.console.step(f"{service.name} is ready at {where} ({time.monotonic() - began:.1f} s)")

    def set_up(self) -> None:
        """The children's variables, the database's schema, the first data, the static files."""
        data = self.env.data_dir
        if not self.env["SECRET_KEY"]:
            self.values["SECRET_KEY"] = remembered_secret(data / "secret-key", secrets.token_urlsafe(50))
        names = {*settings.SECRETS, *settings.TLS_FILES, *settings.DEFAULTS} & set(self.values)
        noted = settings.as_file({name: self.values[name] for name in names})
        private_file.write(data / "environment", noted)
        self.values |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{self.values.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        if os.geteuid() == 0:  # who runs us as root knows; Celery says it again in eight lines
            self.values["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
        self.together(
            [self._fill_database, lambda: self.manage("collecting the static files", "collectstatic")]
        )

    def _fill_database(self) -> None:
        self.manage("making the tables", "migrate")
        self.manage("making sensors and the login", "first_run")

    def manage(self, what: str, command: str) -> None:
        """Run a command of manage.py to its end. Raises Problem with its last lines."""
        began = time.monotonic()
        self.console.step(f"{what} (manage.py {command}) …")
        argv = [sys.executable, "manage.py", command]
        argv += {"migrate": ["--noinput"], "collectstatic": ["--noinput", "--verbosity=0"]}.get(command, [])
        process = processes.spawn(argv, cwd=self.env.project, env=self.values)
        self.commands.append(process)
        output = process.communicate()[0].decode(errors="replace")
        if process.returncode != 0 and not self._stopping:
            if "No space left on device" in output:
                raise Problem(f"the disk is full (manage.py {command}); free some space and run again")
            for line in output.splitlines()[-15:]:
                self.console.line(command[:8], line.encode())
            raise Problem(
                f"manage.py {command} failed with exit code {process.returncode}; its last lines are above"
            )
        self.console.step(f"{what}: done ({time.monotonic() - began:.1f} s)")

    def start_children(self) -> None:
        readiness = Readiness(self.env, self.values["REDIS_URL"])
        self.together([readiness.forget])
        commands = read_procfile(self.env.project / "Procfile", self.values)
        if self.env.simulate:
            flags = ["--boards", str(self.env.simulate), "--rate", "0.5", "--profile", "esp32", "--register"]
            commands["simulate"] = [sys.executable, "manage.py", "simulate", *flags]
        self.console.step(f"starting {', '.join(commands)} …")
        began = time.monotonic()
        for name, argv in commands.items():
            child = Child(name, argv, self.env.project, self.values, self.console)
            self.children[name] = child
            child.start()
        while waiting := [child for child in self.children.values() if not child.ready]:
            for child in waiting:
                if child.died:
                    raise Problem(
                        f"{child.name} {child.how_it_ended()} before it was ready; its last lines are above"
                    )
                if readiness.of(child.name):
                    child.ready = True
                    if child.name != "simulate":
                        self.console.step(f"{child.name} is ready ({time.monotonic() - began:.1f} s)")
            if time.monotonic() - began > READY_SECONDS:
                names = ", ".join(child.name for child in waiting)
                raise Problem(f"not ready after {READY_SECONDS:.0f} s: {names}; see the lines above")
            self.pause(0.1)

    def together(self, jobs: list[Callable[[], None]]) -> None:
        """Run the jobs at the same time; raise what the first to fail raised, or Stopped."""
        futures = [in_thread(job) for job in jobs]
        while not all(future.done() for future in futures):
            for future in futures:
                if future.done():
                    future.result()
            self.pause(0.02)
        for future in futures:
            future.result()

    def pause(self, seconds: float) -> None:
        self.signals.wait(seconds)
        if self.signals.asked or self.console.gone:
            raise Stopped
        if self.signals.again:
            self.signals.again = False
            if self.box:
                self.console.text(self.box)

    # --- watching ----------------------------------------------------------------------------------

    def watch(self) -> None:
        """Restart what dies, each with backoff, until somebody asks us to stop."""
        while True:
            now = time.monotonic()
            for child in self.children.values():
                if child.died and child.restart_at is None:
                    how, delay = child.how_it_ended(), child.backoff.next()
                    child.stop(0)
                    child.restart_at = now + delay
                    self.console.step(f"{child.name} {how}; starting it again in {delay:.0f} s")
                elif child.restart_at is not None and now >= child.restart_at:
                    child.start()
            for name, service in self.services.items():
                self._watch_service(name, service)
            due = [child.restart_at for child in self.children.values() if child.restart_at is not None]
            soon = min(due, default=now + 5) - now
            self.pause(0.1 if self._restarting else max(0.05, min(soon, 5)))

    def _watch_service(self, name: str, service: Service) -> None:
        future = self._restarting.get(name)
        if future is not None:
            if future.done():
                del self._restarting[name]
                error = future.exception()
                if error is not None:
                    self.console.step(f"{service.name} did not come back: {error}")
        elif not service.running:
            delay = self._service_backoff.setdefault(name, Backoff()).next()
            self.console.step(f"{service.name} ended; starting it again in {delay:.0f} s")
            self._restarting[name] = in_thread(lambda: self._restart(service, delay))

    def _restart(self, service: Service, delay: float) -> None:
        time.sleep(delay)
        if not self._stopping:
            self._start_service(service)

    # --- stopping ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything in order; a second request to stop leaves out the waiting."""
        self._stopping = True
        asked = self.signals.asked
        if self.children or self.services:
            self.console.step("stopping …")
        for command in self.commands:
            processes.end(command, signal.SIGTERM, 2)
        known = {name for stage in STOPPING for name in stage}
        for stage in STOPPING:
            names = [n for n in self.children if n in stage or ("web" in stage and n not in known)]
            self._all_at_once([lambda n=n: self.children[n].stop(self._grace(n)) for n in names], asked)  # type: ignore[misc]
        self._all_at_once([service.stop for service in self.services.values()], asked)
        processes.kill_all(processes.family(os.getpid()))

    def _grace(self, name: str) -> float:
        return GRACE.get(name, USUAL_GRACE)

    def _all_at_once(self, jobs: list[Callable[[], None]], asked: int) -> None:
        futures = [in_thread(job) for job in jobs]
        while not all(future.done() for future in futures):
            self.signals.wait(0.02)
            if self.signals.asked > asked:
                processes.kill_all(processes.family(os.getpid()))


def in_thread(job: Callable[[], None]) -> "Future[None]":
    future: Future[None] = Future()

    def work() -> None:
        try:
            job()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=work, daemon=True).start()
    return future


def run(project: Path) -> int:
    """The exit code. Raises Problem, OSError."""
    forget_libpq()
    env = settings.load(project, os.environ)
    return Supervisor(env, Console(env["LANGUAGE_CODE"])).run()
