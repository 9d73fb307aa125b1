// A network between two programs of a test: passes on TCP connections to a port of this machine, later, or
// never.
//
// Thread-safe.
#ifndef CHERRY_TESTS_RELAY_H_
#define CHERRY_TESTS_RELAY_H_

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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
    pollfd events[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
    while (poll(events, 2, -1) >= 0 && events[1].revents == 0) {
      const int near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
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

  void Pass(int near) {
    const int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(target_);
    struct Answer {
      absl::Time due;
      std::string bytes;
    };
    std::deque<Answer> answers;
    bool open = connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    while (open) {
      pollfd events[] = {{near, POLLIN, 0}, {far, POLLIN, 0}, {stop_, POLLIN, 0}};
      const auto wait = answers.empty() ? absl::Minutes(1) : answers.front().due - absl::Now();
      poll(events, 3,
           static_cast<int>(
               std::max<int64_t>(0, absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1))))));
      char buffer[65536];
      if (events[0].revents != 0) {
        const ssize_t size = read(near, buffer, sizeof(buffer));
        open = size > 0 && write(far, buffer, static_cast<size_t>(size)) == size;
      }
      if (open && events[1].revents != 0) {
        const ssize_t size = read(far, buffer, sizeof(buffer));
        open = size > 0;
        answers.push_back(
            {absl::Now() + latency_, std::string(buffer, open ? static_cast<size_t>(size) : 0)});
      }
      while (!answers.empty() && answers.front().due <= absl::Now()) {
        (void)!write(near, answers.front().bytes.data(), answers.front().bytes.size());
        answers.pop_front();
      }
      open = open && events[2].revents == 0;
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
