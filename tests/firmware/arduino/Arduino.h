// As much of the ESP32's Arduino core as the sketch uses, on a computer.
#pragma once

#include <sys/time.h>

#include <cstdlib>
#include <cstring>

#include "world.h"

#define HIGH 1
#define LOW 0
#define OUTPUT 3
#ifndef ESP_ARDUINO_VERSION_MAJOR
#define ESP_ARDUINO_VERSION_MAJOR 3
#endif

inline uint32_t millis() { return (uint32_t)(world.now + world.millis_ahead); }
inline void pinMode(int, int) {}
inline int noise() { return world.noise = -world.noise; }
inline int analogRead(int) { return world.steps + noise(); }
inline uint32_t analogReadMilliVolts(int) { return (uint32_t)(world.millivolts + noise()); }
inline long random(long below) { return std::rand() % below; }

inline void digitalWrite(int pin, int level) {
  static int before = -1;
  if (level != before) tell("pin", "%d\t%d", pin, level);
  before = level;
}

inline void configTime(long offset, int daylight, const char *server) {
  tell("ntp", "%ld\t%d\t%s", offset, daylight, server);
}

inline int chips_time(struct timeval *tv, void *) {
  int64_t ms = (world.ntp ? world.unix_ms : 0) + (int64_t)world.now;
  tv->tv_sec = ms / 1000;
  tv->tv_usec = ms % 1000 * 1000;
  return 0;
}
#define gettimeofday chips_time

struct SerialPort {
  std::string line;
  void begin(int baud) { tell("baud", "%d", baud); }
  void println(const char *text) { printf("%s\n", text); }
  void printf(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    char text[1000];
    va_list fields;
    va_start(fields, format);
    vsnprintf(text, sizeof text, format, fields);
    va_end(fields);
    for (const char *at = text; *at; at++) {
      if (*at != '\n') {
        line += *at;
        continue;
      }
      tell("serial", "%s", line.c_str());
      line.clear();
    }
  }
};
inline SerialPort Serial;

struct Chip {
  uint64_t getEfuseMac() { return world.mac; }
};
inline Chip ESP;

// What every network client can. It does not notice that Wi-Fi is gone.
struct Client {
  bool open = false;
  int wifi_connection = 0;
  bool connected() const { return open; }
  void stop() { open = false; }
};
