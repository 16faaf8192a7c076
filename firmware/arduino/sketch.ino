// An ESP32 with a DHT22 and a photoresistor: publishes temperature, humidity and light to IoT Monitor over MQTT.
//
// loop() goes round without delay(): Wi-Fi, broker, measuring, sending. What was measured at a known time waits in RAM
// until the broker has acknowledged it, and is sent again, with the same ts, after every lost connection. Connecting
// and waiting for an acknowledgement hold loop() up for some seconds at most; what is measured then is late, and its ts
// is true. The settings are in settings.h; how to start is in firmware/README.md.

#include <DHTesp.h>      // the library "DHT sensor library for ESPx"
#include <MQTTClient.h>  // the library "MQTT": unlike PubSubClient it publishes at QoS 1
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <sys/time.h>
#include <time.h>

#if __has_include("settings.h")
#include "settings.h"
#define SETTINGS_FILE "settings.h"
#else
#include "settings_example.h"
#define SETTINGS_FILE "settings_example.h: copy it to settings.h, and change that"
#endif
#include "explain.h"
#include "readings.h"
#include "timing.h"

static_assert(INTERVAL_SECONDS >= 2, "INTERVAL_SECONDS: a DHT22 takes 2 seconds between two readings");
static_assert(PIN_LIGHT >= 32 && PIN_LIGHT <= 39,
              "PIN_LIGHT: 32 to 39, pins of ADC1; ADC2 does not work beside Wi-Fi");
static_assert(sizeof(MQTT_TOPIC) > 1 && sizeof(MQTT_TOPIC) <= 200 && has_no_wildcard(MQTT_TOPIC),
              "MQTT_TOPIC: 1 to 199 characters, without # and +");
static_assert(sizeof(MQTT_STATUS_TOPIC) > 1 && sizeof(MQTT_STATUS_TOPIC) <= 200 && has_no_wildcard(MQTT_STATUS_TOPIC),
              "MQTT_STATUS_TOPIC: 1 to 199 characters, without # and + (nor in BOARD_NAME)");
static_assert(KEEP_READINGS >= 3, "KEEP_READINGS: 3 at least, which is one round");
static_assert(SENSOR_TEMPERATURE > 0 && SENSOR_HUMIDITY > 0 && SENSOR_LIGHT > 0, "a sensor's id is 1 or more");
static_assert(!MQTT_TLS || MQTT_TLS_INSECURE || sizeof(MQTT_CA_CERTIFICATE) > 100,
              "MQTT_TLS 1 needs MQTT_CA_CERTIFICATE (or MQTT_TLS_INSECURE 1, which trusts anybody)");

const Probe TEMPERATURE = {SENSOR_TEMPERATURE, "temperature", "°C", 1, -40, 80};
const Probe HUMIDITY = {SENSOR_HUMIDITY, "humidity", "%", 1, 0, 100};
const Probe LIGHT = {SENSOR_LIGHT, "light", "V", 3, 0, 3.6};

// Wokwi's converter is ideal, and all its chips have the same MAC.
const bool SIMULATED = strcmp(WIFI_SSID, "Wokwi-GUEST") == 0;

const int QOS = 1;
const int KEEP_ALIVE_SECONDS = 30;
const int ACKNOWLEDGE_MS = 5000;
const uint32_t WIFI_MS = 20000;
const uint32_t TLS_CONNECT_MS = 5000;
const int LIGHT_SAMPLES = 8;
const uint32_t DHT_REST_MS = 2000;  // read again sooner, the library repeats what it read before
const int MQTT_BUFFER = 1024;  // a CONNECT has to fit, with user, password and last will

#if MQTT_TLS
WiFiClientSecure network;
#else
WiFiClient network;
#endif
MQTTClient mqtt(MQTT_BUFFER);
DHTesp dht;

Waiting<KEEP_READINGS> waiting;
Timestamps timestamps;
Every measuring(INTERVAL_SECONDS * 1000, DHT_REST_MS);
Every saying_online(60000);
Backoff wifi_wait, mqtt_wait;

bool wifi_up = false, wifi_trying = false, online = false, time_told = false;
int wifi_channel = WIFI_CHANNEL;
uint32_t wifi_since = 0, dropped_told = 0;
volatile int wifi_reason = 0;  // set by the Wi-Fi task
char client_id[24];            // every broker takes 23 letters and digits

int64_t wall_ms() {
  struct timeval tv;
  gettimeofday(&tv, nullptr);
  return (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

void on_wifi_lost(WiFiEvent_t, WiFiEventInfo_t info) {
  int reason = info.wifi_sta_disconnected.reason;
  if (reason != 8) wifi_reason = reason;  // 8: we left it ourselves
}

// The MAC names the chip, so that the broker knows it again after a reset and sends no belated last will. Where every
// chip has the same MAC, two boards would throw each other out for ever: there each start has a name of its own.
void make_client_id() {
  uint64_t mac = ESP.getEfuseMac();
  char *end = client_id;
  for (int i = 0; i < 6; i++, mac >>= 8) end += snprintf(end, 3, "%02x", (unsigned)(mac & 0xff));
  if (SIMULATED) snprintf(end, 9, "%08lx", (unsigned long)random(0x7fffffff));
}

void tell_waiting() {
  if (waiting.dropped() != dropped_told) {
    dropped_told = waiting.dropped();
    Serial.printf("kept: %u readings wait, which is all that fit (KEEP_READINGS); %lu older ones are lost\n",
                  (unsigned)waiting.count(), (unsigned long)dropped_told);
  } else if (!online && !waiting.empty()) {
    Serial.printf("kept: %u readings wait for the broker\n", (unsigned)waiting.count());
  }
}

// --- Wi-Fi ---

void begin_wifi() {
  Serial.printf("Wi-Fi: connecting to %s, channel %d%s\n", WIFI_SSID, wifi_channel, wifi_channel ? "" : " (all)");
  wifi_reason = 0;
  wifi_trying = true;
  wifi_since = millis();
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD, wifi_channel);
}

void wifi_arrived() {
  wifi_up = true;
  wifi_trying = false;
  wifi_wait.succeeded();
  IPAddress ip = WiFi.localIP();
  Serial.printf("Wi-Fi: connected, address %u.%u.%u.%u\n", ip[0], ip[1], ip[2], ip[3]);
  configTime(0, 0, NTP_SERVER);
}

void wifi_failed() {
  int reason = wifi_reason;
  WiFi.disconnect();
  wifi_trying = false;
  wifi_channel = 0;  // the access point may be on another channel than the settings say
  uint32_t pause = wifi_wait.failed(millis(), random(0x7fffffff));
  Serial.printf("Wi-Fi: %s %s (reason %d) Again in %.1f s\n", WIFI_SSID, explain_wifi(reason), reason, pause / 1000.0);
}

void wifi_lost() {
  wifi_up = online = false;
  network.stop();
  Serial.println("Wi-Fi: connection lost");
}

bool keep_wifi() {
  if (WiFi.status() == WL_CONNECTED) {
    if (!wifi_up) wifi_arrived();
    return true;
  }
  if (wifi_up) wifi_lost();
  if (wifi_trying) {
    if (wifi_reason || millis() - wifi_since >= WIFI_MS) wifi_failed();
  } else if (wifi_wait.due(millis())) {
    begin_wifi();
  }
  return false;
}

// --- MQTT ---

bool publish(const char *topic, const char *payload, size_t length, bool retained) {
  if (mqtt.publish(topic, payload, (int)length, retained, QOS)) return true;
  Serial.printf("MQTT: not acknowledged (error %d): %s\n", (int)mqtt.lastError(), payload);
  return false;
}

bool publish(const Reading &reading) {
  char payload[PAYLOAD_SIZE];
  size_t length = write_payload(reading, payload, sizeof payload);
  if (!publish(MQTT_TOPIC, payload, length, false)) return false;
  mqtt_wait.succeeded();
  Serial.printf("sent %s\n", payload);
  return true;
}

void try_mqtt_later() {
  uint32_t pause = mqtt_wait.failed(millis(), random(0x7fffffff));
  Serial.printf("MQTT: again in %.1f s\n", pause / 1000.0);
}

void explain_mqtt() {
  if (mqtt.lastError() == LWMQTT_CONNECTION_DENIED) {
    int refusal = mqtt.returnCode();
    Serial.printf("MQTT: the broker refuses the board (code %d): %s\n", refusal, explain_refusal(refusal));
  } else if (mqtt.lastError() == LWMQTT_NETWORK_FAILED_CONNECT) {
    Serial.printf("MQTT: %s\n", explain_no_connection(MQTT_TLS));
  } else {
    Serial.printf("MQTT: no answer from the broker (error %d). Does MQTT_PORT speak %s?\n", (int)mqtt.lastError(),
                  MQTT_TLS ? "MQTT over TLS" : "MQTT without TLS");
  }
}

void connect_mqtt() {
  Serial.printf("MQTT: connecting to %s:%d as %s\n", MQTT_HOST, MQTT_PORT, client_id);
  const char *user = MQTT_USER[0] ? MQTT_USER : nullptr;
  const char *password = MQTT_PASSWORD[0] ? MQTT_PASSWORD : nullptr;
  if (!mqtt.connect(client_id, user, password)) {
    explain_mqtt();
    try_mqtt_later();
    return;
  }
  online = true;
  saying_online.start(millis());
  Serial.printf("MQTT: connected; readings go to %s\n", MQTT_TOPIC);
  publish(MQTT_STATUS_TOPIC, "online", 6, true);
}

void keep_mqtt() {
  if (mqtt.loop()) {
    // Again now and then: the last will of a connection that broke unseen may have come after ours.
    if (saying_online.due(millis())) publish(MQTT_STATUS_TOPIC, "online", 6, true);
    return;
  }
  if (online) {
    online = false;
    Serial.println("MQTT: connection lost");
    try_mqtt_later();
  } else if (mqtt_wait.due(millis())) {
    connect_mqtt();
  }
}

void send_oldest() {
  if (!waiting.empty() && mqtt.connected() && publish(waiting.oldest())) waiting.remove_oldest();
}

// --- measuring ---

// Without a time a reading has no identity: sent twice it would be stored twice. So it is sent once, or not at all.
void take(const Probe &probe, double value, int64_t ts) {
  Reading reading = reading_of(probe, value, ts);
  if (ts) {
    waiting.add(reading);
  } else if (!mqtt.connected() || !publish(reading)) {
    Serial.printf("%s: not kept, for the time is not known yet\n", probe.type);
  }
}

// A real ESP32's converter is bent, and analogReadMilliVolts() straightens it by what the factory burnt into the chip.
// Wokwi's is straight, so that the same correction would bend it. The input is noisy: the mean of a few.
double light_volts() {
  double sum = 0;
  for (int i = 0; i < LIGHT_SAMPLES; i++)
    sum += SIMULATED ? volts_of_steps(analogRead(PIN_LIGHT)) : analogReadMilliVolts(PIN_LIGHT) / 1000.0;
  return sum / LIGHT_SAMPLES;
}

void measure() {
  int64_t ts = timestamps.next(wall_ms());
  TempAndHumidity air = dht.getTempAndHumidity();
  double volts = light_volts();
  if (dht.getStatus() == DHTesp::ERROR_NONE && plausible(TEMPERATURE, air.temperature) &&
      plausible(HUMIDITY, air.humidity)) {
    take(TEMPERATURE, air.temperature, ts);
    take(HUMIDITY, air.humidity, ts);
  } else {
    Serial.printf("DHT22: nothing sent: %s\n", explain_dht(dht.getStatus()));
  }
  if (plausible(LIGHT, volts)) take(LIGHT, volts, ts);
  tell_waiting();
}

void tell_time() {
  if (time_told || !Timestamps::is_set(wall_ms())) return;
  time_told = true;
  time_t seconds = wall_ms() / 1000;
  struct tm utc;
  char text[24];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
  Serial.printf("time: %s; from now on readings have a ts, and are kept until they are acknowledged\n", text);
}

void setup() {
  Serial.begin(115200);
  pinMode(PIN_LED, OUTPUT);
  dht.setup(PIN_DHT, DHTesp::DHT22);
  make_client_id();
  Serial.printf("\nIoT Monitor, board %s, settings from %s\n", BOARD_NAME, SETTINGS_FILE);

#if MQTT_TLS
#if MQTT_TLS_INSECURE
  Serial.println("TLS: MQTT_TLS_INSECURE is 1: the broker's certificate is not checked");
  network.setInsecure();
#else
  network.setCACert(MQTT_CA_CERTIFICATE);
#endif
#if ESP_ARDUINO_VERSION_MAJOR >= 3
  network.setConnectionTimeout(TLS_CONNECT_MS);  // 30 s unless told otherwise, and nothing is measured meanwhile
#else
  network.setTimeout(TLS_CONNECT_MS / 1000);
#endif
  network.setHandshakeTimeout(15);
#endif
  mqtt.begin(MQTT_HOST, MQTT_PORT, network);
  mqtt.setOptions(KEEP_ALIVE_SECONDS, true, ACKNOWLEDGE_MS);
  mqtt.setWill(MQTT_STATUS_TOPIC, "offline", true, QOS);

  WiFi.persistent(false);
  WiFi.mode(WIFI_STA);
  WiFi.setAutoReconnect(false);  // keep_wifi() does it, and says so
  WiFi.onEvent(on_wifi_lost, ARDUINO_EVENT_WIFI_STA_DISCONNECTED);
  measuring.start(millis());
}

void loop() {
  if (keep_wifi()) keep_mqtt();
  tell_time();
  if (measuring.due(millis())) measure();
  send_oldest();
  digitalWrite(PIN_LED, online || millis() / (wifi_up ? 500 : 100) % 2 ? HIGH : LOW);
}
