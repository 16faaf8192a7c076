# What is yours: copy this file to settings.py and change that one. As it stands it fits wokwi.com and a
# public broker.

# The board's name; it says online and offline under MQTT_STATUS_TOPIC. Each board needs its own.
BOARD_NAME = "esp32-1"

# Wi-Fi, 2.4 GHz: an ESP32 sees no other. Wokwi's has no password.
WIFI_SSID = "Wokwi-GUEST"
WIFI_PASSWORD = ""

# The broker: a name or an address that the board can reach, so never localhost. No user and password: "".
MQTT_HOST = "broker.emqx.io"
MQTT_PORT = 1883
MQTT_USER = ""
MQTT_PASSWORD = ""

# Everybody can read and write on a public broker. Make up a topic of your own there, such as
# my-own-7f3a91/measurements, and start the project with the same one in MQTT_TOPICS.
MQTT_TOPIC = "iot/measurements"
MQTT_STATUS_TOPIC = "iot/status/" + BOARD_NAME

# TLS (mostly port 8883) needs the certificate of the authority that signed the broker's, as a file on the
# board. MQTT_TLS_INSECURE = True goes without: then anybody on the way can pose as the broker and read the
# password.
MQTT_TLS = False
MQTT_TLS_INSECURE = False
MQTT_CA_FILE = ""

# The ids of the sensors that this board feeds. `make run` makes 1, 2 and 3.
SENSOR_TEMPERATURE = 1
SENSOR_HUMIDITY = 2
SENSOR_LIGHT = 3

# A DHT22 takes 2 seconds between two readings.
INTERVAL_SECONDS = 5

# How many readings wait in RAM for the broker, 13 bytes each: 720 are 20 minutes of 3 every 5 seconds.
# When there is no more room, the oldest go first.
KEEP_READINGS = 720

# The longest pause between two attempts to connect. The first is a second, and each is twice the one before.
RETRY_SECONDS = 60

# Where the time comes from. Without it, readings are sent without ts, and none is kept.
NTP_SERVER = "pool.ntp.org"

# As in diagram.json. The photoresistor needs a pin of ADC1 (32 to 39): ADC2 is Wi-Fi's.
PIN_DHT = 15
PIN_LIGHT = 34
PIN_LED = 2
