// The world around the sketch: a clock that moves only when told to, an access point, a broker, an air and a light.
// Whatever happens is a line on stdout: milliseconds since the world began, what, and its fields, between tabs.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

struct World {
  uint64_t now = 0;           // milliseconds since the world began
  uint64_t millis_ahead = 0;  // millis() is this much further
  int64_t unix_ms = -1;       // the true time when the world began
  bool ntp = false;           // whether the chip's clock has been set

  std::string access_point = "there";  // there, absent, bad_password, mute
  int channel = 6;
  bool broker = true, closes_on_publish = false;
  int refusal = 0, acks_to_lose = 0, echo_ms = 40;
  uint64_t mac = 0x100100c40a24;  // 24:0a:c4:00:01:10, least significant byte first

  float temperature = 21.4f, humidity = 48.2f;
  int dht_status = 0, steps = 1000, millivolts = 942, noise = 0;

  std::function<void()> tick = [] {};

  void pass(uint64_t ms) {
    now += ms;
    tick();
  }
};

inline World world;

inline void tell(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
inline void tell(const char *what, const char *format, ...) {
  printf("%llu\t%s\t", (unsigned long long)world.now, what);
  va_list fields;
  va_start(fields, format);
  vprintf(format, fields);
  va_end(fields);
  putchar('\n');
}
