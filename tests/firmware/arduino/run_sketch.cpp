// Runs the real sketch in a world that stdin describes: one order a line, setup() at the first `run`.
#include "Arduino.h"
#include "sketch.ino"

#include <iostream>
#include <sstream>

static void run(uint64_t ms) {
  static bool started = false;
  if (!started) setup();
  started = true;
  for (uint64_t end = world.now + ms; world.now < end; world.pass(10)) loop();
}

int main() {
  std::string line, order;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    words >> order;
    if (order == "run") {
      uint64_t ms;
      words >> ms;
      run(ms);
    } else if (order == "millis") {
      words >> world.millis_ahead;
    } else if (order == "sleep") {  // time passes, and the sketch does not notice
      uint64_t ms;
      words >> ms;
      world.now += ms;
    } else if (order == "time") {  // the true time is now so and so
      int64_t unix_ms;
      words >> unix_ms;
      world.unix_ms = unix_ms - (int64_t)world.now;
      world.ntp = true;
    } else if (order == "access_point") {
      words >> world.access_point;
    } else if (order == "channel") {
      words >> world.channel;
    } else if (order == "broker") {
      words >> world.broker;
    } else if (order == "closes_on_publish") {
      words >> world.closes_on_publish;
    } else if (order == "refusal") {
      words >> world.refusal;
    } else if (order == "lose_acks") {
      words >> world.acks_to_lose;
    } else if (order == "air") {
      words >> world.temperature >> world.humidity;
    } else if (order == "dht_status") {
      words >> world.dht_status;
    } else if (order == "steps") {
      words >> world.steps;
    } else if (order == "millivolts") {
      words >> world.millivolts;
    } else if (order == "noise") {
      words >> world.noise;
    } else if (order == "seed") {
      unsigned seed;
      words >> seed;
      std::srand(seed);
    } else if (order == "mac") {
      words >> std::hex >> world.mac;
    } else {
      std::cerr << "no such order: " << line << "\n";
      return 2;
    }
    if (!words) {
      std::cerr << "cannot read: " << line << "\n";
      return 2;
    }
  }
  std::fflush(stdout);
}
