"""Simulated boards: `manage.py simulate --boards 30 --rate 0.5 --faults duplicates,late,garbage`."""

import math
import os
import sys
import time
from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext, ngettext

from bridge.address import MqttAddress
from bridge.tls import TlsFileError, TlsFiles
from monitoring.management.signals import until_signalled
from monitoring.numbers import grouped
from monitoring.simulator.boards import SENSORS_A_BOARD, probes
from monitoring.simulator.faults import FAULTS, Kind, Messages, parse
from monitoring.simulator.sender import Sender, first_topic
from monitoring.simulator.simulation import Simulation, Sums, Unreachable
from process.environment import Environment, SettingsError, gather
from process.log import moment

MAX_BOARDS = 10_000
TTY_SECONDS = 1.0
LOG_SECONDS = 10.0


def positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ArgumentTypeError(gettext("%s is not a number") % text) from None
    if not (math.isfinite(number) and number > 0):
        raise ArgumentTypeError(gettext("%s is not above 0") % text)
    return number


def whole(most: int) -> Callable[[str], int]:
    def parse_whole(text: str) -> int:
        if not (text.isdecimal() and 1 <= int(text) <= most):
            said = {"text": text, "most": most}
            raise ArgumentTypeError(gettext("%(text)s is not a whole number from 1 to %(most)d") % said)
        return int(text)

    return parse_whole


def known_faults(text: str) -> frozenset[Kind]:
    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


class Command(BaseCommand):
    help = gettext("Publishes what simulated ESP32 boards measure (DHT22 and LDR), until it is stopped.")
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--boards",
            type=whole(MAX_BOARDS),
            default=1,
            help=gettext(
                "how many (1); board k, counted from 0, has the sensors 3k+1 (temperature), "
                "3k+2 (humidity) and 3k+3 (light)"
            ),
        )
        add("--rate", type=positive, default=0.5, help=gettext("messages a second for each sensor (0.5)"))
        add(
            "--faults",
            type=known_faults,
            default=frozenset(),
            metavar=",".join(FAULTS),
            help=gettext(
                "what goes wrong, each with one message in fifty: the same payload again, an older or "
                "out-of-order ts, payloads that are no reading"
            ),
        )
        add("--duration", type=positive, metavar="S", help=gettext("end after so many seconds of sending"))
        add(
            "--messages",
            type=whole(10**12),
            metavar="N",
            help=gettext("end after so many messages, faults included"),
        )
        add("--qos", type=int, choices=(0, 1), default=1)
        add(
            "--ts",
            action=BooleanOptionalAction,
            default=None,
            help=gettext(
                "whether messages carry their time: without it a duplicate is stored as a new reading; "
                "unless given, on where duplicates or late are asked for, else off"
            ),
        )
        add("--seed", type=int, help=gettext("the same faults at the same places each time"))
        add("--topic", help=gettext("in place of the first of MQTT_TOPICS"))
        add(
            "--url",
            metavar="MQTT_URL",
            help=gettext("the broker, in place of MQTT_URL: mqtt://user:password@host:port"),
        )
        add(
            "--profile",
            choices=("esp32",),
            default="esp32",
            help=gettext("what boards there are: esp32 so far"),
        )
        add(
            "--register",
            action="store_true",
            help=gettext("first make those of the boards' sensors that do not exist"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        boards, faults, qos = options["boards"], options["faults"], options["qos"]
        ts = options["ts"]
        if ts is None:
            ts = bool({Kind.DUPLICATE, Kind.LATE} & faults)
        try:
            env = Environment(gather(os.environ))
            url = options["url"] or env.str("MQTT_URL", None)
            topics = [options["topic"]] if options["topic"] else env.list("MQTT_TOPICS", ["iot/measurements"])
            files = TlsFiles.read(env)
            env.seal()
            address = _address(url)
            topic = first_topic(topics)
            messages = Messages(faults, ts=ts, seed=options["seed"])
            tls = files.context() if address.tls else None
        except (ValueError, TlsFileError, SettingsError) as error:
            raise CommandError(str(error)) from None
        last = boards * SENSORS_A_BOARD
        if options["register"]:
            register(boards)
        elif boards > 1:
            text = gettext(
                "sensors 1 to %d must exist, else their messages are rejected as unknown_sensor: "
                "--register makes them, as AUTO_REGISTER_SENSORS=1 does"
            )
            self._line(text % last)
        text = ngettext(
            "%(boards)d board, sensors 1 to %(last)d, topic %(topic)s",
            "%(boards)d boards, sensors 1 to %(last)d, topic %(topic)s",
            boards,
        )
        self._line(text % {"boards": boards, "last": last, "topic": topic})
        sender = Sender(address, topic, boards=boards, qos=qos, tls=tls, say=self._line)
        simulation = Simulation(
            sender,
            messages,
            boards=boards,
            rate=options["rate"],
            duration=options["duration"],
            limit=options["messages"],
            progress=self._progress(qos),
        )
        with until_signalled(simulation.stop):
            try:
                sums = simulation.run()
            except BrokenPipeError:  # whoever read our lines has gone, as `| head` does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return
            except Unreachable as error:
                text = gettext("%(address)s cannot be reached: %(error)s; is MQTT_URL right?")
                raise CommandError(text % {"address": address, "error": error}) from None
        for line in sums.lines(qos):
            self._line(line)

    _rewriting = False

    def _line(self, text: str) -> None:
        """On a terminal as it is; else as a line of a log."""
        if not self.stdout.isatty():
            text = f"{moment(settings.TIME_ZONE)} INFO    {text}"
        if self._rewriting:
            self._rewriting = False
            self.stdout.write("")
        self.stdout.write(text)
        self.stdout.flush()

    def _progress(self, qos: int) -> Callable[[Sums], None]:
        """On a terminal one line, rewritten each second; else a line every ten."""
        tty = self.stdout.isatty()
        every = TTY_SECONDS if tty else LOG_SECONDS
        before, seen = time.monotonic(), 0

        def show(sums: Sums) -> None:
            nonlocal before, seen
            now = time.monotonic()
            if now - before < every:
                return
            text = gettext("%s sent") % grouped(sums.messages)
            if qos:
                text += gettext(", %s acknowledged") % grouped(sums.acknowledged)
            text += f", {grouped((sums.messages - seen) / (now - before), 1)}/s"
            before, seen = now, sums.messages
            if tty:
                self._rewriting = True
                self.stdout.write(f"\r{text}\033[K", ending="")
                self.stdout.flush()
            elif sums.messages:
                self._line(text)

        return show


def register(boards: int) -> None:
    """Makes the sensors of so many boards; those that exist stay as they are."""
    from monitoring.models import Sensor

    Sensor.objects.register(
        [
            Sensor(
                id=probe.sensor_id, name=f"Board {board + 1}, {probe.kind}", kind=probe.kind, unit=probe.unit
            )
            for board in range(boards)
            for probe in probes(board)
        ]
    )


def _address(url: str | None) -> MqttAddress:
    """Raises ValueError."""
    if not url:
        raise ValueError(
            gettext(
                "MQTT_URL is not set; start `make run` in another terminal, or give --url mqtt://host:1883"
            )
        )
    try:
        return MqttAddress.parse(url)
    except ValueError as error:
        raise ValueError(f"MQTT_URL (or --url): {error}") from None
