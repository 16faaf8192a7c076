// When to do what, and what time it is. Free of Arduino. `now` is millis(): it begins again at 0 after 49.7 days, so
// times are never compared, only the time between them.
#pragma once

#include <stdint.h>

// Something to be done every `period` milliseconds, for the first time after one period. Between two times there are
// at least `rest` milliseconds, which are no more than `period`.
class Every {
 public:
  explicit Every(uint32_t period, uint32_t rest = 0) : period_(period), rest_(rest) {}

  void start(uint32_t now) { last_ = now; }

  bool due(uint32_t now) {
    uint32_t since = now - last_;
    if (since < period_) return false;
    // Keeps its beat, unless the next one would come too soon; what was missed is not made up for.
    uint32_t late = since % period_, may_be_late = period_ - rest_;
    last_ = now - (late < may_be_late ? late : may_be_late);
    return true;
  }

 private:
  uint32_t period_, rest_, last_ = 0;
};

// How long to wait after a failure: 1 s, then twice as long each time, up to a minute; half of it by chance, so that a
// room full of boards does not come back in step.
class Backoff {
 public:
  bool due(uint32_t now) const { return now - since_ >= wait_; }

  // Returns how many milliseconds it waits now. `chance` is any random number.
  uint32_t failed(uint32_t now, uint32_t chance) {
    longest_ = longest_ == 0 ? FIRST : longest_ < LAST / 2 ? longest_ * 2 : LAST;
    since_ = now;
    wait_ = longest_ / 2 + chance % (longest_ / 2 + 1);
    return wait_;
  }

  void succeeded() { longest_ = wait_ = 0; }

 private:
  static constexpr uint32_t FIRST = 1000, LAST = 60000;
  uint32_t since_ = 0, wait_ = 0, longest_ = 0;
};

// Turns the chip's clock into `ts`. Before NTP has answered that clock counts from 1970, which is no time at all.
class Timestamps {
 public:
  static bool is_set(int64_t now_ms) { return now_ms >= YEAR_2024 && now_ms < YEAR_2100; }

  // Milliseconds since 1970, or 0 where the clock is not set. Never the same twice: (sensor, ts) names a reading. A
  // small step back of the clock is bridged by counting on; after a large one it was wrong before, and is believed now.
  int64_t next(int64_t now_ms) {
    if (!is_set(now_ms)) return 0;
    bool small_step_back = now_ms <= last_ && last_ - now_ms < 10000;
    last_ = small_step_back ? last_ + 1 : now_ms;
    return last_;
  }

 private:
  static constexpr int64_t YEAR_2024 = 1704067200000, YEAR_2100 = 4102444800000;
  int64_t last_ = 0;
};
