// What went wrong, and what to do about it, for the serial monitor. Free of Arduino.
#pragma once

// `reason` is ESP-IDF's wifi_err_reason_t; 0: none was given in time.
inline const char *explain_wifi(int reason) {
  switch (reason) {
    case 201:  // NO_AP_FOUND
      return "not found. Is WIFI_SSID spelt right, is it 2.4 GHz, is it in reach?";
    case 2:    // AUTH_EXPIRE
    case 15:   // 4WAY_HANDSHAKE_TIMEOUT
    case 202:  // AUTH_FAIL
    case 204:  // HANDSHAKE_TIMEOUT
      return "refused the board. Is WIFI_PASSWORD right?";
    case 210:  // NO_AP_FOUND_W_COMPATIBLE_SECURITY
    case 211:  // NO_AP_FOUND_IN_AUTHMODE_THRESHOLD
      return "found, but with another security than expected. Is WIFI_PASSWORD set, and the access point on WPA2?";
    case 200:  // BEACON_TIMEOUT
    case 212:  // NO_AP_FOUND_IN_RSSI_THRESHOLD
      return "too weak. Move the board closer to the access point.";
    case 0:
      return "no answer in time. Does the access point give out addresses (DHCP)?";
    default:
      return "failed. The number is ESP-IDF's Wi-Fi reason code.";
  }
}

// `refusal` is the return code of the broker's CONNACK.
inline const char *explain_refusal(int refusal) {
  switch (refusal) {
    case 1:
      return "it does not speak MQTT 3.1.1. Is MQTT_PORT right?";
    case 2:
      return "it does not like the client id. Set another broker, or its rules for client ids.";
    case 3:
      return "it is not available at the moment. It is tried again.";
    case 4:
      return "user or password is wrong. Check MQTT_USER and MQTT_PASSWORD.";
    case 5:
      return "this user may not connect. Check MQTT_USER and MQTT_PASSWORD, and the broker's list of who may.";
    default:
      return "for a reason that MQTT 3.1.1 does not know.";
  }
}

inline const char *explain_no_connection(bool tls) {
  return tls ? "no connection. Is MQTT_HOST the name in the broker's certificate, MQTT_PORT its TLS port, "
               "MQTT_CA_CERTIFICATE of its authority?"
             : "no connection. Is the broker running, MQTT_HOST an address that the board can reach (not localhost), "
               "MQTT_PORT right, and does the broker listen on the network?";
}

// `status` is DHTesp's: 1 no answer, 2 a wrong checksum.
inline const char *explain_dht(int status) {
  switch (status) {
    case 1:
      return "no answer. Check its VCC, its GND, and the wire from its data pin to PIN_DHT.";
    case 2:
      return "a garbled answer. Shorten the data wire, and put 10 kOhm between data and VCC.";
    default:
      return "a value that it cannot measure.";
  }
}
