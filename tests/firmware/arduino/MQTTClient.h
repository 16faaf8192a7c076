// The library "MQTT" 2.5 as the sketch sees it, and a broker behind it. publish() at QoS 1 returns once the PUBACK is
// there; without one in time it closes the connection, as the library does.
#pragma once

#include "WiFi.h"

typedef enum {
  LWMQTT_SUCCESS = 0,
  LWMQTT_BUFFER_TOO_SHORT = -1,
  LWMQTT_NETWORK_FAILED_CONNECT = -3,
  LWMQTT_NETWORK_TIMEOUT = -4,
  LWMQTT_NETWORK_FAILED_READ = -5,
  LWMQTT_CONNECTION_DENIED = -10,
} lwmqtt_err_t;
typedef enum { LWMQTT_CONNECTION_ACCEPTED = 0 } lwmqtt_return_code_t;

class MQTTClient {
 public:
  explicit MQTTClient(int buffer) : buffer_(buffer) {}

  void begin(const char host[], int port, Client &client) {
    client_ = &client;
    tell("broker", "%s\t%d", host, port);
  }

  void setOptions(int keep_alive, bool clean_session, int timeout) {
    tell("options", "%d\t%d\t%d", keep_alive, clean_session, timeout);
    timeout_ = timeout;
  }

  void setWill(const char topic[], const char payload[], bool retained, int qos) {
    tell("will", "%s\t%s\t%d\t%d", topic, payload, retained, qos);
  }

  bool connect(const char id[], const char user[] = nullptr, const char password[] = nullptr) {
    tell("connect", "%s\t%s\t%s", id, user ? user : "(none)", password ? password : "(none)");
    client_->stop();
    if (!world.broker || !WiFi.up) return fails(LWMQTT_NETWORK_FAILED_CONNECT, 3000);
    world.pass((uint64_t)world.echo_ms);
    code_ = world.refusal;
    if (code_) return fails(LWMQTT_CONNECTION_DENIED, 0);
    client_->open = true;
    client_->wifi_connection = WiFi.connection;
    return true;
  }

  bool connected() {
    if (WiFi.up && !world.broker) client_->stop();
    return client_->connected();
  }

  bool publish(const char topic[], const char payload[], int length, bool retained, int qos) {
    if (!connected()) return false;
    if ((int)std::strlen(topic) + length + 9 > buffer_) return fails(LWMQTT_BUFFER_TOO_SHORT, 0);
    bool dead = !WiFi.up || client_->wifi_connection != WiFi.connection;
    if (dead) return fails(LWMQTT_NETWORK_TIMEOUT, (uint64_t)timeout_);
    bool acknowledged = world.acks_to_lose == 0;
    tell("publish", "%s\t%d\t%d\t%d\t%.*s", topic, qos, retained, acknowledged, length, payload);
    if (world.closes_on_publish) return fails(LWMQTT_NETWORK_FAILED_READ, 5);
    if (!acknowledged) {
      world.acks_to_lose--;
      return fails(LWMQTT_NETWORK_TIMEOUT, (uint64_t)timeout_);
    }
    world.pass((uint64_t)world.echo_ms);
    return true;
  }

  bool loop() { return connected(); }
  lwmqtt_err_t lastError() const { return error_; }
  lwmqtt_return_code_t returnCode() const { return (lwmqtt_return_code_t)code_; }

 private:
  bool fails(lwmqtt_err_t error, uint64_t after) {
    world.pass(after);
    error_ = error;
    client_->stop();
    return false;
  }

  int buffer_, timeout_ = 1000, code_ = 0;
  lwmqtt_err_t error_ = LWMQTT_SUCCESS;
  Client *client_ = nullptr;
};
