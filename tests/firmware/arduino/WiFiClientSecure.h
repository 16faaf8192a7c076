#pragma once

#include "Arduino.h"

struct WiFiClientSecure : Client {
  void setCACert(const char *certificate) { tell("tls", "ca\t%zu", std::strlen(certificate)); }
  void setInsecure() { tell("tls", "insecure"); }
  void setConnectionTimeout(uint32_t milliseconds) { tell("tls", "connection\t%u", milliseconds); }
  void setHandshakeTimeout(unsigned long seconds) { tell("tls", "handshake\t%lu", seconds); }
};
