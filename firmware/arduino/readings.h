// Readings: what they are, how they are written, and where they wait. Free of Arduino, so that a computer can test it.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// What one sensor measures, as the project knows it: `type` and `unit` must be the sensor's own.
struct Probe {
  uint32_t sensor_id;
  const char *type;
  const char *unit;
  int decimals;  // 0 to 3: what the part resolves
  double lowest, highest;  // what it can measure
};

// A board publishes to one topic; to a filter the broker would answer by closing the connection.
constexpr bool has_no_wildcard(const char *topic) {
  return *topic == '\0' || (*topic != '#' && *topic != '+' && has_no_wildcard(topic + 1));
}

// A value in thousandths, so that a reading that is sent again is the same to the last digit.
struct Reading {
  const Probe *probe;
  int32_t thousandths;
  int64_t ts;  // milliseconds since 1970, UTC; 0: the time was not known
};

// False for what the part cannot have measured, NaN included.
inline bool plausible(const Probe &probe, double value) {
  return value >= probe.lowest && value <= probe.highest;
}

inline Reading reading_of(const Probe &probe, double value, int64_t ts) {
  int32_t steps = 1, size = 1000;
  for (int i = 0; i < probe.decimals; i++) {
    steps *= 10;
    size /= 10;
  }
  return {&probe, (int32_t)lround(value * steps) * size, ts};
}

// A 12-bit step of an ideal converter that reaches 3.3 V.
inline double volts_of_steps(int steps) { return steps * 3.3 / 4095; }

// 21400 -> "21.4". Returns its length.
inline int write_thousandths(int32_t thousandths, char *out, size_t size) {
  uint32_t rest = thousandths < 0 ? 0u - (uint32_t)thousandths : (uint32_t)thousandths;
  const char *sign = thousandths < 0 ? "-" : "";
  int length = snprintf(out, size, "%s%lu.%03lu", sign, (unsigned long)(rest / 1000), (unsigned long)(rest % 1000));
  while (out[length - 1] == '0') length--;
  if (out[length - 1] == '.') length--;
  out[length] = '\0';
  return length;
}

constexpr size_t PAYLOAD_SIZE = 160;

// The reading as JSON. Returns its length, or 0 where `out` is too small for it.
inline size_t write_payload(const Reading &reading, char *out, size_t size) {
  char value[16], ts[32] = "";
  write_thousandths(reading.thousandths, value, sizeof value);
  if (reading.ts)
    snprintf(ts, sizeof ts, ", \"ts\": %lu.%03u", (unsigned long)(reading.ts / 1000), (unsigned)(reading.ts % 1000));
  const Probe &probe = *reading.probe;
  int length = snprintf(out, size, "{\"sensor_id\": %lu, \"type\": \"%s\", \"value\": %s, \"unit\": \"%s\"%s}",
                        (unsigned long)probe.sensor_id, probe.type, value, probe.unit, ts);
  return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

// The readings that the broker has not acknowledged yet, oldest first. When it is full, the oldest make room.
template <size_t SIZE>
class Waiting {
 public:
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  uint32_t dropped() const { return dropped_; }
  const Reading &oldest() const { return readings_[first_]; }

  void add(const Reading &reading) {
    if (count_ == SIZE) {
      remove_oldest();
      dropped_++;
    }
    readings_[(first_ + count_) % SIZE] = reading;
    count_++;
  }

  void remove_oldest() {
    first_ = (first_ + 1) % SIZE;
    count_--;
  }

 private:
  Reading readings_[SIZE] = {};
  size_t first_ = 0, count_ = 0;
  uint32_t dropped_ = 0;
};
