// Asks the sketch's headers by themselves: each line of stdin is a question, each line of stdout its answer.
#include <iostream>
#include <sstream>

#include "explain.h"
#include "readings.h"
#include "timing.h"

static const Probe PROBES[] = {
    {1, "temperature", "°C", 1, -40, 80}, {2, "humidity", "%", 1, 0, 100}, {3, "light", "V", 3, 0, 3.6}};

int main() {
  std::string line, what;
  Waiting<4> waiting;
  Timestamps timestamps;
  Backoff backoff;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    words >> what;
    if (what == "payload") {
      int probe;
      std::string value;
      int64_t ts;
      size_t size = PAYLOAD_SIZE;
      char payload[PAYLOAD_SIZE];
      words >> probe >> value >> ts;
      words >> size;
      size_t length = write_payload(reading_of(PROBES[probe - 1], std::stod(value), ts), payload, size);
      std::cout << (length ? payload : "(too small)") << "\n";
    } else if (what == "longest") {
      Probe probe = {4294967295u, "temperature", "°C", 3, -1e6, 1e6};
      Reading reading = {&probe, INT32_MIN, 4102444799999};
      char payload[PAYLOAD_SIZE];
      std::cout << write_payload(reading, payload, sizeof payload) << " " << payload << "\n";
    } else if (what == "plausible") {
      int probe;
      std::string value;
      words >> probe >> value;
      std::cout << plausible(PROBES[probe - 1], std::stod(value)) << "\n";
    } else if (what == "volts") {
      int steps;
      words >> steps;
      std::cout << volts_of_steps(steps) << "\n";
    } else if (what == "add") {
      int32_t thousandths;
      words >> thousandths;
      waiting.add({&PROBES[0], thousandths, 1});
      std::cout << waiting.count() << " " << waiting.dropped() << " " << waiting.oldest().thousandths << "\n";
    } else if (what == "remove") {
      waiting.remove_oldest();
      std::cout << waiting.count() << " " << (waiting.empty() ? 0 : waiting.oldest().thousandths) << "\n";
    } else if (what == "stamp") {
      int64_t now;
      words >> now;
      std::cout << timestamps.next(now) << "\n";
    } else if (what == "failed") {
      uint32_t now, chance;
      words >> now >> chance;
      std::cout << backoff.failed(now, chance) << "\n";
    } else if (what == "succeeded") {
      backoff.succeeded();
      std::cout << "\n";
    } else if (what == "due") {
      uint32_t now;
      words >> now;
      std::cout << backoff.due(now) << "\n";
    } else if (what == "beats") {  // a rest, then times: at which a period of 5 s, begun at the first, is over
      uint32_t rest, now;
      words >> rest >> now;
      Every every(5000, rest);
      every.start(now);
      while (words >> now) std::cout << every.due(now);
      std::cout << "\n";
    } else if (what == "wifi") {
      int reason;
      words >> reason;
      std::cout << explain_wifi(reason) << "\n";
    } else {
      std::cerr << "no such question: " << line << "\n";
      return 2;
    }
  }
}
