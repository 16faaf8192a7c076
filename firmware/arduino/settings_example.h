// What is yours: copy this file to settings.h and change that one. As it stands it fits wokwi.com and a public broker.
#pragma once

// The board's name; it says online and offline under MQTT_STATUS_TOPIC. Each board needs its own.
#define BOARD_NAME "esp32-1"

// Wi-Fi, 2.4 GHz: an ESP32 sees no other. Channel 6 is Wokwi's; 0 looks on all channels.
#define WIFI_SSID "Wokwi-GUEST"
#define WIFI_PASSWORD ""
#define WIFI_CHANNEL 6

// The broker: a name or an address that the board can reach, so never localhost. No user and password: "".
#define MQTT_HOST "broker.emqx.io"
#define MQTT_PORT 1883
#define MQTT_USER ""
#define MQTT_PASSWORD ""

// Everybody can read and write on a public broker. Make up a topic of your own there, such as
// my-own-7f3a91/measurements, and start the project with the same one in MQTT_TOPICS.
#define MQTT_TOPIC "iot/measurements"
#define MQTT_STATUS_TOPIC "iot/status/" BOARD_NAME

// TLS (mostly port 8883): put the certificate of the authority that signed the broker's between the two lines with PEM,
// as it stands in its file. MQTT_TLS_INSECURE 1 goes without: then anybody on the way can pose as the broker and read
// the password.
#define MQTT_TLS 0
#define MQTT_TLS_INSECURE 0
const char MQTT_CA_CERTIFICATE[] = R"PEM(
)PEM";

// The ids of the sensors that this board feeds. `make run` makes 1, 2 and 3.
#define SENSOR_TEMPERATURE 1
#define SENSOR_HUMIDITY 2
#define SENSOR_LIGHT 3

// A DHT22 takes 2 seconds between two readings.
#define INTERVAL_SECONDS 5

// How many readings wait in RAM for the broker, 16 bytes each. 720 are 20 minutes at 3 readings every 5 seconds.
#define KEEP_READINGS 720

#define NTP_SERVER "pool.ntp.org"

// As in diagram.json. The photoresistor needs a pin of ADC1 (32 to 39): ADC2 is Wi-Fi's.
#define PIN_DHT 15
#define PIN_LIGHT 34
#define PIN_LED 2
