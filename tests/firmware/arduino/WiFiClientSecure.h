#pragma once

#include "Arduino.h"

struct WiFiClientSecure : Client {
  void setCACert(const char *certificate) { tell("tls", "ca\t%zu", std::strlen(certificate)); }
  void setInsecure() { tell("tls", "insecure"); }
#if ESP_ARDUINO_VERSION_MAJOR >= 3
  void setConnectionTimeout(uint32_t milliseconds) { tell("tls", "connection\t%u", milliseconds); }
#else
  int setTimeout(uint32_t seconds) { return tell("tls", "connection\t%u", seconds * 1000), 1; }
#endif
  void setHandshakeTimeout(unsigned long seconds) { tell("tls", "handshake\t%lu", seconds); }
};
