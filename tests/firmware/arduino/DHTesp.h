#pragma once

#include <cmath>

#include "Arduino.h"

struct TempAndHumidity {
  float temperature, humidity;
};

class DHTesp {
 public:
  enum DHT_MODEL_t { AUTO_DETECT, DHT11, DHT22 };
  enum DHT_ERROR_t { ERROR_NONE = 0, ERROR_TIMEOUT, ERROR_CHECKSUM };

  void setup(uint8_t pin, DHT_MODEL_t model) { tell("dht", "%d\t%d", pin, model); }
  DHT_ERROR_t getStatus() const { return (DHT_ERROR_t)world.dht_status; }

  TempAndHumidity getTempAndHumidity() {
    tell("dht_read", "%lu", (unsigned long)(world.now - last_));
    last_ = world.now;
    world.pass(5);
    if (world.dht_status == ERROR_TIMEOUT) return {NAN, NAN};  // after a wrong checksum: what was there before
    return {world.temperature, world.humidity};
  }

 private:
  uint64_t last_ = 0;
};
