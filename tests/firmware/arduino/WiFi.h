#pragma once

#include "Arduino.h"

enum wl_status_t { WL_IDLE_STATUS = 0, WL_CONNECTED = 3, WL_DISCONNECTED = 6 };
enum { WIFI_STA = 1 };
typedef enum { ARDUINO_EVENT_WIFI_STA_DISCONNECTED = 5 } WiFiEvent_t;
typedef union {
  struct {
    uint8_t reason;
  } wifi_sta_disconnected;
} WiFiEventInfo_t;

struct IPAddress {
  uint8_t operator[](int i) const { return (const uint8_t[]){10, 10, 0, 2}[i]; }
};

struct WiFiClient : Client {};

struct WiFiStation {
  void (*on_lost)(WiFiEvent_t, WiFiEventInfo_t) = nullptr;
  bool begun = false, up = false, left = false;
  uint64_t since = 0;
  int channel = 0, connection = 0;

  void persistent(bool) {}
  void mode(int) {
    world.tick = [this] { tick(); };
  }
  void setAutoReconnect(bool on) { tell("auto_reconnect", "%d", on); }
  void onEvent(void (*callback)(WiFiEvent_t, WiFiEventInfo_t), WiFiEvent_t) { on_lost = callback; }
  wl_status_t status() const { return up ? WL_CONNECTED : WL_DISCONNECTED; }
  IPAddress localIP() const { return {}; }

  void begin(const char *ssid, const char *password, int channel_) {
    tell("wifi", "%s\t%s\t%d", ssid, password, channel_);
    begun = true;
    up = false;
    since = world.now;
    channel = channel_;
  }

  // Its event comes from another task, and may come as late as after the next begin().
  void disconnect() {
    begun = up = false;
    left = true;
  }

  void tick() {
    bool there = world.access_point == "there" && (channel == 0 || channel == world.channel);
    if (up && world.access_point != "there") return lose(200);
    if (up || !begun || world.access_point == "mute") return;
    if (left) tell_lost(8);
    left = false;
    if (there && world.now - since >= 300) {
      up = true;
      connection++;
    }
    if (!there && world.now - since >= 2000) lose(world.access_point == "bad_password" ? 15 : 201);
  }

  void lose(uint8_t reason) {
    begun = up = false;
    tell_lost(reason);
  }

  void tell_lost(uint8_t reason) {
    WiFiEventInfo_t info;
    info.wifi_sta_disconnected.reason = reason;
    if (on_lost) on_lost(ARDUINO_EVENT_WIFI_STA_DISCONNECTED, info);
  }
};
inline WiFiStation WiFi;
