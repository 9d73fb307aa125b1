// A network between two programs of a test: passes on TCP connections to a port of this machine, later, or
// never.
//
// Thread-safe. Both sides have to read what they are sent.
#ifndef CHERRY_TESTS_RELAY_H_
#define CHERRY_TESTS_RELAY_H_

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace cherry {

class Relay {
 public:
  // What `port` answers arrives `latency` later.
  explicit Relay(int port, absl::Duration latency = absl::ZeroDuration())
      : target_(port), latency_(latency), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 64);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~Relay() {
    const uint64_t one = 1;
    (void)!write(stop_, &one, sizeof(one));  // Never read: all that wait for it wake.
    acceptor_.join();
    for (std::thread& connection : connections_) {
      connection.join();
    }
    close(listener_);
    close(stop_);
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  int port() const { return port_; }

  // Connections from now on are taken but nothing is passed on, as behind an address whose host is gone; or,
  // again, they are. Those that are there stay as they are.
  void SetSilent(bool silent) {
    const std::lock_guard<std::mutex> lock(mutex_);
    silent_ = silent;
  }
  // False if it is not so within a minute.
  bool AwaitConnections(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return accepted_ >= count; });
  }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void Accept() {
    while (true) {
      pollfd events[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(events, 2, -1) < 0 && errno == EINTR) {
        continue;
      }
      if (events[1].revents != 0) {
        return;
      }
      const int near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (near < 0) {
        continue;
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      ++accepted_;
      changed_.notify_all();
      connections_.emplace_back([this, near, silent = silent_] {
        silent ? WaitForStop() : Pass(near);
        close(near);
      });
    }
  }
  void WaitForStop() {
    pollfd event = {stop_, POLLIN, 0};
    poll(&event, 1, -1);
  }

  static bool Send(int to, absl::string_view bytes) {
    return send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }

  // Until one side hangs up; what was answered before still arrives.
  void Pass(int near) {
    struct Answer {
      absl::Time due;
      std::string bytes;
    };
    std::deque<Answer> answers;
    char buffer[65536];
    const int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(target_);
    bool far_open = connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    while (far_open || !answers.empty()) {
      // A negative descriptor is not looked at.
      pollfd events[] = {{near, POLLIN, 0}, {far_open ? far : -1, POLLIN, 0}, {stop_, POLLIN, 0}};
      const absl::Duration wait = answers.empty() ? absl::Minutes(1) : answers.front().due - absl::Now();
      poll(events, 3, std::max(0, static_cast<int>(absl::ToInt64Milliseconds(wait)) + 1));
      if (events[2].revents != 0) {
        break;
      }
      if (events[0].revents != 0) {
        const ssize_t size = read(near, buffer, sizeof(buffer));
        if (size <= 0 || (far_open && !Send(far, {buffer, static_cast<size_t>(size)}))) {
          break;
        }
      }
      if (events[1].revents != 0) {
        const ssize_t size = read(far, buffer, sizeof(buffer));
        far_open = size > 0;
        if (far_open) {
          answers.push_back({absl::Now() + latency_, std::string(buffer, static_cast<size_t>(size))});
        }
      }
      while (!answers.empty() && answers.front().due <= absl::Now()) {
        if (!Send(near, answers.front().bytes)) {
          answers.clear();
          far_open = false;
          break;
        }
        answers.pop_front();
      }
    }
    close(far);
  }

  const int target_;
  const absl::Duration latency_;
  const int listener_;
  const int stop_ = eventfd(0, EFD_CLOEXEC);
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_:
  bool silent_ = false;
  int accepted_ = 0;
  std::list<std::thread> connections_;

  std::thread acceptor_;  // Last: it uses all of the above.
};

}  // namespace cherry

#endif  // CHERRY_TESTS_RELAY_H_
