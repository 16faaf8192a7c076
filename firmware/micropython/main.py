"""An ESP32 with a DHT22 and an LDR measures, and publishes what it measures over MQTT.

Four things go on side by side: measuring, sending, keeping the time, and blinking. A reading gets its time
when it is taken, and waits in the outbox until the broker has acknowledged it. What is sent twice
carries the same time both times, so the backend stores it once.

The LED: quick blinking, no Wi-Fi; slow blinking, no broker; steady, all is well.
"""

import asyncio
import binascii
import gc
import os
import random
import sys
import time

import clock
import machine
import mqtt
import outbox
import sensors
import settings_check
import wifi

# How many messages may be on their way at once.
WINDOW = 8
STATUS_PACKET_ID = 65535
# The broker takes the board for dead after one and a half of these.
KEEPALIVE_SECONDS = 30
# The last will of a connection that broke unseen may come after the first `online`.
ONLINE_SECONDS = 60
# Until NTP has answered it is asked again soon; later the clock needs it a few times a day.
NTP_SECONDS_SOON = 5
NTP_SECONDS_LATER = 6 * 3600
# A connection that has lasted so long was a good one: the next pause starts short again.
GOOD_SECONDS = 10

# Message's type, its unit, how many decimals.
KINDS = (("temperature", "°C", 1), ("humidity", "%", 1), ("light", "V", 3))
TEMPERATURE, HUMIDITY, LIGHT = range(3)


class Backoff:
    """Pauses that double, up to `longest` seconds, each shortened by chance.

    Boards that lost the same broker at the same moment then do not all come back at the same moment.
    """

    def __init__(self, longest):
        self.longest = longest
        self.reset()

    def reset(self):
        self._next = min(1, self.longest)

    async def pause(self):
        seconds = self._next * (0.5 + random.random() / 2)
        self._next = min(self._next * 2, self.longest)
        print("trying again in %.1f s" % seconds)
        await asyncio.sleep_ms(int(seconds * 1000))


class Board:
    def __init__(self, settings):
        self.settings = settings
        self.ids = (settings.SENSOR_TEMPERATURE, settings.SENSOR_HUMIDITY, settings.SENSOR_LIGHT)
        self.outbox = outbox.Outbox(settings.KEEP_READINGS)
        self.clock = clock.Clock(settings.NTP_SERVER)
        self.dht = sensors.Dht22(settings.PIN_DHT)
        simulated = settings.WIFI_SSID == "Wokwi-GUEST"
        self.ldr = sensors.Ldr(settings.PIN_LIGHT, calibrated=not simulated)
        self.led = machine.Pin(settings.PIN_LED, machine.Pin.OUT)
        self.wifi = wifi.Wifi(settings.WIFI_SSID, settings.WIFI_PASSWORD)
        self.must_check_certificates = settings.MQTT_TLS and not settings.MQTT_TLS_INSECURE
        self.client_id = client_id(simulated)
        self.connected_since = None  # ticks
        self.was_good = False  # noted in time: ticks come round again after some days
        self._sent = 0  # readings below this number were sent at least once
        self._dropped = 0  # how many of the dropped the log has told

    @property
    def connected(self):
        return self.connected_since is not None

    async def run(self):
        await asyncio.gather(
            *[self.keep_going(part) for part in (self.measure, self.deliver, self.keep_time, self.blink)]
        )

    async def keep_going(self, part):
        """A fault in one part, foreseen by nobody, stops neither that part nor the others."""
        while True:
            try:
                await part()
            except Exception as error:
                print("this should not happen; going on in 5 s:")
                sys.print_exception(error)
            await asyncio.sleep(5)

    # --- measuring ---

    async def measure(self):
        interval = int(self.settings.INTERVAL_SECONDS * 1000)
        due = time.ticks_add(time.ticks_ms(), interval)
        while True:
            await asyncio.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))
            now = time.ticks_ms()
            # Late: looking up a name or a TLS handshake took its time.
            due = time.ticks_add(now, sensors.pause(max(0, time.ticks_diff(now, due)), interval))
            readings = self.read()
            ms = self.clock.stamp()
            if readings:
                self.keep(readings, ms)
            gc.collect()

    def read(self):
        """[(sensor, thousandths), ...] of what could be read; of what could not be, the log says why."""
        readings = []
        try:
            temperature, humidity = self.dht.read()
            readings += [(TEMPERATURE, temperature), (HUMIDITY, humidity)]
        except (OSError, ValueError) as error:
            print("not sent: temperature and humidity:", error)
        readings.append((LIGHT, self.ldr.read()))
        return readings

    def keep(self, readings, ms):
        said = ", ".join(
            "%s %s" % (outbox.digits(value, KINDS[which][2]), KINDS[which][1]) for which, value in readings
        )
        if ms is None and not self.connected:
            print("measured: %s; not kept: no connection, and no time yet" % said)
            return
        for which, value in readings:
            self.outbox.put(which, value, ms)
        at = outbox.digits(ms, 3) if ms else "no time yet"
        print("measured: %s (%s); %d to send" % (said, at, len(self.outbox)))
        self.tell_dropped(100 if self._dropped else 1)

    def tell_dropped(self, every):
        if self.outbox.dropped >= self._dropped + every:
            self._dropped = self.outbox.dropped
            print("the memory was full: the oldest %d readings since the start were dropped" % self._dropped)

    # --- sending ---

    async def deliver(self):
        backoff = Backoff(self.settings.RETRY_SECONDS)
        while True:
            try:
                await self.wifi.join()
                if self.must_check_certificates and self.clock.now() is None:
                    raise mqtt.MqttError("waiting for the time: without it no certificate can be checked")
                await self.stay_connected()
            except wifi.WifiError as error:
                print("Wi-Fi:", error)
            except (OSError, EOFError, asyncio.TimeoutError, mqtt.MqttError) as error:
                print("MQTT:", mqtt.why(error))
            if self.was_good:
                backoff.reset()
            self.connected_since, self.was_good = None, False
            forgotten = self.outbox.forget_untimed()
            if forgotten:
                print("not sent again: %d readings that have no time" % forgotten)
            gc.collect()  # also closes a connection that was given up halfway
            await backoff.pause()

    async def stay_connected(self):
        """One connection, from its beginning to its end, which is always an exception."""
        own = self.settings
        print("MQTT: connecting to %s:%d as %s" % (own.MQTT_HOST, own.MQTT_PORT, self.client_id))
        if own.MQTT_TLS and own.MQTT_TLS_INSECURE:
            print("MQTT: encrypted, but who the broker is goes unchecked: MQTT_TLS_INSECURE is True")
        client = mqtt.Client(
            own.MQTT_HOST,
            own.MQTT_PORT,
            self.client_id,
            own.MQTT_USER,
            own.MQTT_PASSWORD,
            will=(own.MQTT_STATUS_TOPIC, b"offline"),
            keepalive=KEEPALIVE_SECONDS,
            tls=mqtt.tls(None if own.MQTT_TLS_INSECURE else own.MQTT_CA_FILE) if own.MQTT_TLS else None,
        )
        try:
            await client.connect()
            await self.say_online(client)
            self.connected_since = time.ticks_ms()
            print("MQTT: connected; %d readings wait to be sent to %s" % (len(self.outbox), own.MQTT_TOPIC))
            self.tell_dropped(1)
            await self.empty_outbox(client)
        finally:
            await client.close()

    async def say_online(self, client):
        await client.publish(STATUS_PACKET_ID, self.settings.MQTT_STATUS_TOPIC, b"online", retain=True)
        await client.acknowledged()

    async def empty_outbox(self, client):
        quiet_since = said_online = time.ticks_ms()
        while self.wifi.joined():
            if time.ticks_diff(time.ticks_ms(), self.connected_since) > GOOD_SECONDS * 1000:
                self.was_good = True
            if time.ticks_diff(time.ticks_ms(), said_online) > ONLINE_SECONDS * 1000:
                await self.say_online(client)
                quiet_since = said_online = time.ticks_ms()
            elif len(self.outbox):
                await self.send(client)
                quiet_since = time.ticks_ms()
            elif time.ticks_diff(time.ticks_ms(), quiet_since) > KEEPALIVE_SECONDS * 500:
                await client.ping()
                quiet_since = time.ticks_ms()
            else:
                await asyncio.sleep_ms(20)
        raise wifi.WifiError("the connection is lost")

    async def send(self, client):
        """The oldest readings, a few at once.

        Each leaves the outbox when its acknowledgement is there, and those of all before it.
        """
        first = self.outbox.first
        end = min(first + WINDOW, self.outbox.next)
        # Made before anything is waited for: while we wait, new readings may take the place of the oldest.
        payloads = [self.payload(number) for number in range(first, end)]
        repeated = self._sent
        for number in range(first, end):
            self._sent = max(self._sent, number + 1)
            payload = payloads[number - first]
            await client.publish(
                packet_id(number), self.settings.MQTT_TOPIC, payload, again=number < repeated
            )
        missing = {packet_id(number): number for number in range(first, end)}
        while missing:
            found = await client.acknowledged()
            number = missing.pop(found, None)
            if number is None:
                raise mqtt.MqttError("the broker acknowledged %d, which was not sent to it" % found)
            # They come in the order of sending, or should.
            self.outbox.acknowledged(min(missing.values()) - 1 if missing else end - 1)
            print("sent again" if number < repeated else "sent", payloads[number - first].decode())

    def payload(self, number):
        which, value, ms = self.outbox.get(number)
        kind, unit, decimals = KINDS[which]
        return outbox.payload(self.ids[which], kind, unit, outbox.digits(value, decimals), ms)

    # --- keeping the time ---

    async def keep_time(self):
        while True:
            if not self.wifi.joined():
                await asyncio.sleep_ms(200)
                continue
            seconds = NTP_SECONDS_SOON
            try:
                self.clock.ask()
                print("time:", clock.text(self.clock.now()))
                seconds = NTP_SECONDS_LATER
            except ValueError as error:
                print("time:", error)
            except (OSError, IndexError) as error:  # an answer that is too short is an IndexError in ntptime
                print("time: %s does not answer (%r); asking again" % (self.settings.NTP_SERVER, error))
            await asyncio.sleep(seconds)

    # --- the LED ---

    async def blink(self):
        while True:
            self.led.value(1)
            await asyncio.sleep_ms(100 if not self.wifi.joined() else 500)
            self.led.value(1 if self.connected else 0)
            await asyncio.sleep_ms(100 if not self.wifi.joined() else 500)


def client_id(simulated):
    """Unique in the world: of two clients with one id a broker throws the older out, again and again.

    Every broker must take 23 characters, letters and digits; longer ids only some do.

    A real board keeps its id, so that the broker ends the connection from before a reset when it comes back.
    Wokwi's boards may all have the same hardware address; there, chance tells them apart.
    """
    own = machine.unique_id() + (os.urandom(4) if simulated else b"")
    return binascii.hexlify(own).decode()


def packet_id(number):
    """The same for the same reading, whenever it is sent."""
    return number % (STATUS_PACKET_ID - 1) + 1


def main():
    try:
        settings = settings_check.load()
    except settings_check.SettingsError as error:
        print(error)
        return
    board = Board(settings)
    print(
        "IoT Monitor: board %s, %s %d.%d.%d"
        % ((settings.BOARD_NAME, sys.implementation[0]) + sys.implementation[1][:3])
    )
    if settings.INTERVAL_SECONDS < 2:
        print("INTERVAL_SECONDS is below 2: a DHT22 is not that quick, and some of its readings will fail")
    try:
        asyncio.run(board.run())
    finally:  # Ctrl-C
        board.led.value(0)
        asyncio.new_event_loop()


main()
